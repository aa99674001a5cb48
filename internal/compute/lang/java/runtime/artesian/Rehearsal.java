package artesian;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.amazonaws.services.lambda.runtime.api.client.EventHandlerLoader;
import com.amazonaws.services.lambda.runtime.api.client.HandlerInfo;
import com.amazonaws.services.lambda.runtime.api.client.runtimeapi.JniHelper;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Goes the way to a handler's answer ahead of it, as far as that does not depend on the function: classes are loaded and linked, the
 * JVM's own code has run once. What reads the environment when it is initialised is loaded only.
 */
final class Rehearsal {
    private Rehearsal() {}

    /** A handler like most. */
    public static final class Mapped implements RequestHandler<Map<String, Object>, Map<String, Object>> {
        @Override
        public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
            return event;
        }
    }

    /** A handler of streams. */
    public static final class Streamed implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context) {}
    }

    static void all() throws Exception {
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (!path.contains("aws-lambda-java-serialization")) load(path); // of that one most is never used
        }
        handlers();
        values();
        JniHelper.load();
    }

    private static void load(String jar) throws Exception {
        ClassLoader loader = ClassLoader.getSystemClassLoader();
        try (JarFile file = new JarFile(jar)) {
            for (Enumeration<JarEntry> all = file.entries(); all.hasMoreElements(); ) {
                String name = all.nextElement().getName();
                if (name.endsWith(".class") && !name.startsWith("META-INF") && !name.equals("module-info.class")) {
                    Class.forName(name.substring(0, name.length() - 6).replace('/', '.'), false, loader);
                }
            }
        }
    }

    private static void handlers() throws Exception {
        String[] path = System.getProperty("java.class.path").split(File.pathSeparator);
        URL[] here = {new File(path[path.length - 1]).toURI().toURL()};
        try (URLClassLoader loader = new URLClassLoader(here, ClassLoader.getSystemClassLoader())) {
            for (Class<?> c : new Class<?>[] {Mapped.class, Streamed.class}) {
                EventHandlerLoader.loadEventHandler(HandlerInfo.fromString(c.getName(), loader));
                EventHandlerLoader.loadEventHandler(HandlerInfo.fromString(c.getName() + "::handleRequest", loader));
            }
            loader.findResource("artesian/Stem.class");
        }
    }

    private static void values() {
        Map<String, Object> value = new HashMap<>();
        value.put("text", "é");
        value.put("number", 1.5);
        value.put("list", new int[] {1, 2});
        value.put("object", new LinkedHashMap<>(value));
        @SuppressWarnings("unchecked")
        PojoSerializer<Object> s = (PojoSerializer<Object>) (PojoSerializer<?>) JacksonFactory.getInstance().getSerializer(Map.class);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        s.toJson(value, out);
        s.fromJson(new ByteArrayInputStream(out.toByteArray()));
    }
}
