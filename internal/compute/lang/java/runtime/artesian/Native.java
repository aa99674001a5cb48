package artesian;

import java.io.FileDescriptor;
import java.lang.reflect.Field;
import sun.misc.Unsafe;

/** What Java has no way of its own to do to its process. The native methods are in a library that the Go side writes (library.go). */
final class Native {
    private static final Unsafe UNSAFE = unsafe();

    private Native() {}

    private static native int chdir(long path);

    private static native int clearenv();

    private static native int setenv(long name, long value);

    private static Unsafe unsafe() {
        try {
            Field f = Unsafe.class.getDeclaredField("theUnsafe");
            f.setAccessible(true);
            return (Unsafe) f.get(null);
        } catch (ReflectiveOperationException e) {
            throw new LinkageError("Unsafe", e);
        }
    }

    /** Makes folder the working directory. */
    static void enter(byte[] folder) {
        long path = copy(folder);
        int failed = chdir(path);
        UNSAFE.freeMemory(path);
        if (failed != 0) throw new IllegalStateException("chdir");
    }

    /** Makes the C library's environment empty. */
    static void clear() {
        if (clearenv() != 0) throw new IllegalStateException("clearenv");
    }

    /** Sets a variable of the C library's environment, which programs that the function starts inherit. */
    static void set(byte[] name, byte[] value) {
        long n = copy(name);
        long v = copy(value);
        int failed = setenv(n, v);
        UNSAFE.freeMemory(n);
        UNSAFE.freeMemory(v);
        if (failed != 0) throw new IllegalStateException("setenv");
    }

    private static long copy(byte[] text) {
        long at = UNSAFE.allocateMemory(text.length + 1L);
        for (int i = 0; i < text.length; i++) UNSAFE.putByte(at + i, text[i]);
        UNSAFE.putByte(at + text.length, (byte) 0);
        return at;
    }

    /** Returns the file descriptor of that number. */
    static FileDescriptor descriptor(int number) throws ReflectiveOperationException {
        FileDescriptor d = new FileDescriptor();
        UNSAFE.putInt(d, UNSAFE.objectFieldOffset(FileDescriptor.class.getDeclaredField("fd")), number);
        return d;
    }

    /** Returns the value of a static field, whoever may see it. */
    static Object read(Class<?> owner, String name) throws ReflectiveOperationException {
        Field f = owner.getDeclaredField(name);
        return UNSAFE.getObject(UNSAFE.staticFieldBase(f), UNSAFE.staticFieldOffset(f));
    }

    static void setStatic(Class<?> owner, String name, Object value) throws ReflectiveOperationException {
        Field f = owner.getDeclaredField(name);
        UNSAFE.putObject(UNSAFE.staticFieldBase(f), UNSAFE.staticFieldOffset(f), value);
    }

    static void setObject(Object of, String name, Object value) throws ReflectiveOperationException {
        UNSAFE.putObject(of, UNSAFE.objectFieldOffset(of.getClass().getDeclaredField(name)), value);
    }

    static void setInt(Object of, String name, int value) throws ReflectiveOperationException {
        UNSAFE.putInt(of, UNSAFE.objectFieldOffset(of.getClass().getDeclaredField(name)), value);
    }

    static void setLong(Object of, Class<?> declared, String name, long value) throws ReflectiveOperationException {
        UNSAFE.putLong(of, UNSAFE.objectFieldOffset(declared.getDeclaredField(name)), value);
    }

    /** Returns a new object of a class whose fields of declared are set to values, in the order of names. */
    static Object make(Class<?> kind, Class<?> declared, String[] names, Object... values) throws ReflectiveOperationException {
        Object made = UNSAFE.allocateInstance(kind);
        for (int i = 0; i < names.length; i++) UNSAFE.putObject(made, UNSAFE.objectFieldOffset(declared.getDeclaredField(names[i])), values[i]);
        return made;
    }
}
