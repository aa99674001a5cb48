package artesian;

import com.amazonaws.services.lambda.crac.CheckpointException;
import com.amazonaws.services.lambda.crac.Context;
import com.amazonaws.services.lambda.crac.Core;
import com.amazonaws.services.lambda.crac.Resource;
import com.amazonaws.services.lambda.crac.RestoreException;
import com.amazonaws.services.lambda.runtime.api.client.AWSLambda;
import com.amazonaws.services.lambda.runtime.api.client.LambdaEnvironment;
import java.io.DataInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.HttpURLConnection;
import java.net.URL;

/**
 * AWS's runtime interface client in a process of which an image is made. The client runs the function's hooks itself, before a checkpoint
 * and after a restore; between them, where it would ask whether it has been restored, the process waits for the other side of the image.
 * What it says and hears is the protocol that package lang/framed describes.
 *
 * <p>Arguments: the library with the native methods; the handler.
 */
public final class Pause extends Context<Resource> {
    private static final int CHANNEL = 3;
    private static final byte[] INITIALISED = {'H', 0, 0, 0, 1, 1, 'R', 0, 0, 0, 0};
    private static final byte[] READY = {'P', 0, 0, 0, 0};

    private final Context<Resource> hooks;
    private final DataInputStream in;
    private final FileOutputStream out;
    private final Fresh fresh = new Fresh();

    private Pause(Context<Resource> hooks, FileDescriptor channel) {
        this.hooks = hooks;
        this.in = new DataInputStream(new FileInputStream(channel));
        this.out = new FileOutputStream(channel);
    }

    public static void main(String[] args) throws Throwable {
        System.load(args[0]);
        Rehearsal.all();
        Field context = Core.class.getDeclaredField("globalContext");
        context.setAccessible(true);
        context.set(null, new Pause(Core.getGlobalContext(), Native.descriptor(CHANNEL)));
        AWSLambda.main(new String[] {args[1]});
    }

    @Override
    public void register(Resource r) {
        hooks.register(r);
    }

    @Override
    public void beforeCheckpoint(Context<? extends Resource> c) throws CheckpointException {
        try {
            out.write(INITIALISED);
            hear('P');
            hooks.beforeCheckpoint(c);
            fresh.find();
            ask();
            System.gc();
            out.write(READY);
            Assignment news = Assignment.read(in, 'W');
            news.add();
            Native.setStatic(LambdaEnvironment.class, "LOG_STREAM_NAME", System.getenv("AWS_LAMBDA_LOG_STREAM_NAME"));
            fresh.renew();
        } catch (IOException | ReflectiveOperationException e) {
            throw new IllegalStateException("wait for a restore", e);
        }
    }

    @Override
    public void afterRestore(Context<? extends Resource> c) throws RestoreException {
        hooks.afterRestore(c);
    }

    /** Asks what the client asks after a restore, so that the classes for that are there. The connection is not kept. */
    private static void ask() throws IOException {
        URL url = new URL("http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/restore/next");
        HttpURLConnection c = (HttpURLConnection) url.openConnection();
        c.setRequestProperty("Connection", "close");
        c.getResponseCode();
        c.disconnect();
    }

    private void hear(int kind) throws IOException {
        int heard = in.readByte();
        if (heard != kind || in.readInt() != 0) throw new IOException("frame " + heard + " instead of " + kind);
    }
}
