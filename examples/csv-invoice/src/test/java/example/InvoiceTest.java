package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Map;
import org.junit.jupiter.api.Test;

class InvoiceTest {
    @Test
    void addsUp() {
        Map<String, Object> got = Invoice.total("item,quantity,price,tax\n\"a, b\",3,1.005,10\nc, 1 ,0.50,0\n");
        assertEquals(Map.of("lines", 2, "net", "3.52", "tax", "0.30", "total", "3.82"), got);
    }

    @Test
    void refusesWhatIsNoNumber() {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, () -> Invoice.total("quantity,price,tax\n1,many,0\n"));
        assertEquals("line 1: price is no number: many", e.getMessage());
        assertThrows(IllegalArgumentException.class, () -> Invoice.total("quantity,price\n1,2\n"));
    }
}
