import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Collects the cases and runs them, a few at a time because most of them only wait; results print in order. */
final class Runner {
    interface Body {
        void run(Case c) throws Exception;
    }

    /** How long a case may take: a bound on what hangs, far beyond what a case takes on a busy machine. */
    private static final int SECONDS = 60;

    private record Entry(String name, Body body) {}

    private final List<Entry> entries = new ArrayList<>();
    private final List<String> only;
    private final List<String> skip;
    private final boolean verbose;
    private final boolean list;

    Runner(List<String> only, List<String> skip, boolean verbose, boolean list) {
        this.only = only;
        this.skip = skip;
        this.verbose = verbose;
        this.list = list;
    }

    void add(String name, Body body) {
        if (skip.stream().anyMatch(name::startsWith)) return;
        if (only.isEmpty() || only.stream().anyMatch(name::startsWith)) entries.add(new Entry(name, body));
    }

    int run() throws InterruptedException {
        if (list) {
            entries.forEach(e -> System.out.println(e.name));
            return 0;
        }
        ExecutorService lanes = Executors.newFixedThreadPool(4);
        List<Future<Throwable>> results = new ArrayList<>();
        for (Entry entry : entries) results.add(lanes.submit(() -> attempt(entry)));
        int passed = 0;
        int failed = 0;
        for (int i = 0; i < entries.size(); i++) {
            Throwable why;
            try {
                why = results.get(i).get();
            } catch (ExecutionException e) {
                why = e.getCause();
            }
            if (why == null) {
                passed++;
                System.out.println("PASS " + entries.get(i).name);
            } else {
                failed++;
                System.out.println("FAIL " + entries.get(i).name + ": " + Check.text(why));
                if (verbose) why.printStackTrace(System.out);
            }
            System.out.flush();
        }
        System.out.println(passed + " passed, " + failed + " failed");
        return failed == 0 ? 0 : 1;
    }

    private Throwable attempt(Entry entry) {
        Case c = new Case(entry.name);
        ExecutorService own = Executors.newCachedThreadPool(r -> {
            Thread t = new Thread(r, entry.name);
            t.setDaemon(true);
            return t;
        });
        try {
            Future<?> work = own.submit(() -> {
                entry.body.run(c);
                return null;
            });
            work.get((long) SECONDS * Case.slow, TimeUnit.SECONDS);
            return null;
        } catch (TimeoutException e) {
            StringBuilder at = new StringBuilder("not done within " + SECONDS * Case.slow + " s");
            c.lastStep().ifPresent(s -> at.append(", last step: ").append(s));
            return new AssertionError(at.toString());
        } catch (ExecutionException e) {
            return e.getCause();
        } catch (InterruptedException e) {
            return e;
        } finally {
            Future<?> tidy = own.submit(c::close);
            try {
                tidy.get(5, TimeUnit.SECONDS);
            } catch (Exception e) {
                // A connection that cannot be closed has failed its case already, or does not matter to it.
            }
            own.shutdownNow();
        }
    }
}
