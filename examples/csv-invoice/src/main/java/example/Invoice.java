package example;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.StringReader;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.commons.csv.CSVFormat;
import org.apache.commons.csv.CSVParser;
import org.apache.commons.csv.CSVRecord;

/** Adds up an invoice: a table of comma-separated values with the columns item, quantity, price and tax (in per cent). */
public class Invoice implements RequestHandler<Map<String, String>, Map<String, Object>> {
    private static final CSVFormat FORMAT = CSVFormat.RFC4180.builder().setHeader().setSkipHeaderRecord(true)
            .setIgnoreSurroundingSpaces(true).setIgnoreEmptyLines(true).get();

    @Override
    public Map<String, Object> handleRequest(Map<String, String> event, Context context) {
        String csv = event == null ? null : event.get("csv");
        Map<String, Object> total = total(csv == null ? sample() : csv);
        context.getLogger().log(total.get("lines") + " lines, " + total.get("total") + " in all\n");
        return total;
    }

    static Map<String, Object> total(String csv) {
        BigDecimal net = BigDecimal.ZERO;
        BigDecimal tax = BigDecimal.ZERO;
        int lines = 0;
        try (CSVParser parser = FORMAT.parse(new StringReader(csv))) {
            for (CSVRecord line : parser) {
                BigDecimal amount = number(line, "quantity").multiply(number(line, "price"));
                net = net.add(amount);
                tax = tax.add(amount.multiply(number(line, "tax")).movePointLeft(2));
                lines++;
            }
        } catch (IOException e) {
            throw new IllegalArgumentException("the table cannot be read: " + e.getMessage(), e);
        }
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("lines", lines);
        out.put("net", cents(net));
        out.put("tax", cents(tax));
        out.put("total", cents(net.add(tax)));
        return out;
    }

    private static BigDecimal number(CSVRecord line, String column) {
        if (!line.isSet(column)) {
            throw new IllegalArgumentException("line " + line.getRecordNumber() + " has no " + column);
        }
        try {
            return new BigDecimal(line.get(column));
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("line " + line.getRecordNumber() + ": " + column + " is no number: " + line.get(column));
        }
    }

    private static String cents(BigDecimal amount) {
        return amount.setScale(2, RoundingMode.HALF_UP).toPlainString();
    }

    private static String sample() {
        try (InputStream in = Invoice.class.getResourceAsStream("/sample.csv")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("the sample cannot be read", e);
        }
    }
}
