package artesian;

import com.amazonaws.services.lambda.runtime.api.client.AWSLambda;
import java.io.DataInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;

/**
 * The Java runtime started ahead, before anybody knows for which function: loads what all functions need, says that it is ready, and
 * waits for its assignment. From then on it is AWS's runtime interface client.
 *
 * <p>Arguments: the library with the native methods; "rehearse" to end once all is loaded.
 */
public final class Stem {
    private static final int CHANNEL = 3;
    private static final byte[] HELLO = {'H', 0, 0, 0, 1, 1};

    private Stem() {}

    public static void main(String[] args) throws Throwable {
        System.load(args[0]);
        Rehearsal.all();
        if (args.length > 1) return;
        Assignment mine = assigned();
        if (mine != null) AWSLambda.main(mine.arguments);
    }

    /** Returns the assignment once it has become true, null at the end of the channel. */
    private static Assignment assigned() throws IOException, ReflectiveOperationException {
        FileDescriptor channel = Native.descriptor(CHANNEL);
        try (DataInputStream in = new DataInputStream(new FileInputStream(channel))) {
            System.gc();
            new FileOutputStream(channel).write(HELLO);
            Assignment mine = Assignment.read(in, 'B');
            mine.assume();
            return mine;
        } catch (java.io.EOFException e) {
            return null;
        }
    }
}
