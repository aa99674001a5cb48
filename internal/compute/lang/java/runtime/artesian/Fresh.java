package artesian;

import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;

/**
 * What Java itself keeps of random state and must not be the same in two processes that go on from one image. It is looked up before the
 * image is made, so that a restore only sets it. Generators that the function has made and seeded are its own affair.
 */
final class Fresh {
    private static final String[] GENERATORS = {
        "L32X64MixRandom", "L64X128MixRandom", "L64X128StarStarRandom", "L64X256MixRandom", "L64X1024MixRandom", "L128X128MixRandom",
        "L128X256MixRandom", "L128X1024MixRandom", "Xoroshiro128PlusPlus", "Xoshiro256PlusPlus"
    };

    /** Where seeds of generators to come are from. */
    private final List<AtomicLong> seeds = new ArrayList<>();

    private SecureRandom random;
    private Random shared;
    private final List<Object> system = new ArrayList<>();

    void find() {
        random = new SecureRandom();
        seed("java.util.Random", "seedUniquifier");
        seed("java.util.SplittableRandom", "defaultGen");
        seed("java.util.concurrent.ThreadLocalRandom", "seeder");
        for (String name : GENERATORS) {
            seed("jdk.random." + name, "defaultGen"); // since 17
            seed("jdk.internal.random." + name, "defaultGen"); // since 25
        }
        Math.random(); // makes the one that find looks for
        Object math = value("java.lang.Math$RandomNumberGeneratorHolder", "randomNumberGenerator");
        if (math instanceof Random) shared = (Random) math;
        for (String variant : new String[] {"", "$Blocking", "$NonBlocking"}) {
            Object source = value("sun.security.provider.NativePRNG" + variant, "INSTANCE");
            if (source != null) system.add(source);
        }
        random.nextLong(); // so that what renew needs has been loaded
    }

    void renew() throws ReflectiveOperationException {
        for (Object source : system) { // what was read of it and not yet used, and what it is mixed with
            Native.setInt(source, "buffered", 0);
            Native.setObject(source, "mixRandom", null);
        }
        for (AtomicLong s : seeds) s.set(random.nextLong());
        if (shared != null) shared.setSeed(random.nextLong());
        for (Thread t : Thread.getAllStackTraces().keySet()) Native.setLong(t, Thread.class, "threadLocalRandomSeed", random.nextLong());
    }

    private void seed(String owner, String field) {
        Object found = value(owner, field);
        if (found instanceof AtomicLong) seeds.add((AtomicLong) found);
    }

    /** The value of a static field, null in a version of Java that has no such field. */
    private static Object value(String owner, String field) {
        try {
            return Native.read(Class.forName(owner), field);
        } catch (ReflectiveOperationException | LinkageError e) {
            return null;
        }
    }
}
