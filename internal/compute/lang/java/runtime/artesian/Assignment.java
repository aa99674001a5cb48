package artesian;

import java.io.DataInputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TimeZone;

/** Whom this process is for: the frame that package lang/framed describes. */
final class Assignment {
    private static final int MAX = 1 << 20;

    final String[] arguments;
    private final byte[] folder;
    private final List<byte[]> environment;

    private Assignment(List<byte[]> parts, int arguments) {
        this.folder = parts.get(0);
        this.arguments = new String[arguments];
        for (int i = 0; i < arguments; i++) this.arguments[i] = text(parts.get(1 + i));
        this.environment = parts.subList(1 + arguments, parts.size());
    }

    static Assignment read(DataInputStream in, int wanted) throws IOException {
        int kind = in.readByte();
        int size = in.readInt();
        if (kind != wanted || size < 2 || size > MAX) throw new IOException("no assignment");
        byte[] body = new byte[size];
        in.readFully(body);
        List<byte[]> parts = new ArrayList<>();
        for (int at = 1, end = at; end < size; end++) {
            if (body[end] != 0) continue;
            parts.add(Arrays.copyOfRange(body, at, end));
            at = end + 1;
        }
        return new Assignment(parts, body[0] & 255);
    }

    /** Makes this process one that was executed with that environment, in that folder. */
    void assume() throws ReflectiveOperationException {
        environment().clear();
        Native.clear();
        add();
        Native.enter(folder);
        System.setProperty("user.dir", text(folder));
        System.clearProperty("user.timezone"); // follows TZ, and is set by whoever asks first
        TimeZone.setDefault(null);
    }

    /** Sets the variables beside those that there are. */
    void add() throws ReflectiveOperationException {
        Class<?> data = Class.forName("java.lang.ProcessEnvironment$ExternalData");
        Class<?> variable = Class.forName("java.lang.ProcessEnvironment$Variable");
        Class<?> value = Class.forName("java.lang.ProcessEnvironment$Value");
        String[] fields = {"str", "bytes"};
        Map<Object, Object> java = environment();
        for (byte[] v : environment) {
            int end = 0;
            while (end < v.length && v[end] != '=') end++;
            if (end == 0 || end == v.length) continue;
            byte[] name = Arrays.copyOfRange(v, 0, end);
            byte[] rest = Arrays.copyOfRange(v, end + 1, v.length);
            Native.set(name, rest);
            java.put(Native.make(variable, data, fields, text(name), name), Native.make(value, data, fields, text(rest), rest));
        }
    }

    /** Java's own view of its environment, which is what it had when it was first looked at. */
    @SuppressWarnings("unchecked")
    private static Map<Object, Object> environment() throws ReflectiveOperationException {
        System.getenv("PATH"); // initialises it
        return (Map<Object, Object>) Native.read(Class.forName("java.lang.ProcessEnvironment"), "theEnvironment");
    }

    /** Bytes are characters in the encoding of the locale, as everywhere in Java's view of its process. */
    private static String text(byte[] bytes) {
        try {
            return new String(bytes, System.getProperty("sun.jnu.encoding"));
        } catch (java.io.UnsupportedEncodingException e) {
            return new String(bytes);
        }
    }
}
