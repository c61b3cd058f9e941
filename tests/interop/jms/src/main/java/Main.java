import java.util.ArrayList;
import java.util.List;

/**
 * Black-box JMS suite. Main URL [--only PREFIX] [--skip PREFIX] [--via failover] [--slow N] [--verbose] [--list], or Main URL MODE for the
 * restart modes of Restart; mode secured runs the cases of Secured. --slow N multiplies the bounds of the cases, for a busy machine. One line per case, a closing line, exit code 0 when every case passed.
 */
public final class Main {
    static boolean verbose;
    static List<String> only = new ArrayList<>();
    static List<String> skip = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        if (args.length > 1 && args[1].equals("failover-load"))
            System.exit(FailoverLoad.run(args[0], List.of(args).subList(2, args.length)));
        String url = null;
        String mode = null;
        boolean failover = false;
        boolean list = false;
        for (int i = 0; i < args.length; i++) {
            switch (args[i]) {
                case "--only" -> only.add(args[++i]);
                case "--skip" -> skip.add(args[++i]);
                case "--via" -> failover = "failover".equals(args[++i]);
                case "--slow" -> Case.slow = Integer.parseInt(args[++i]);
                case "--verbose" -> verbose = true;
                case "--list" -> list = true;
                default -> {
                    if (args[i].startsWith("--") || mode != null) usage();
                    if (url == null) url = args[i];
                    else mode = args[i];
                }
            }
        }
        if (url == null) usage();
        Case.url = url;
        Case.failover = failover;
        if ("secured".equals(mode)) {
            Runner runner = new Runner(only, skip, verbose, list);
            Secured.cases(runner);
            System.exit(runner.run());
        }
        if (mode != null) System.exit(Restart.run(mode));

        Runner runner = new Runner(only, skip, verbose, list);
        Messages.cases(runner);
        Acks.cases(runner);
        DeadLetters.cases(runner);
        Transactions.cases(runner);
        Durables.cases(runner);
        Browsing.cases(runner);
        Temporaries.cases(runner);
        Selecting.cases(runner);
        Delivery.cases(runner);
        Pulling.cases(runner);
        Wire.cases(runner);
        Xa.cases(runner);
        Advisories.cases(runner);
        Load.cases(runner);
        System.exit(runner.run());
    }

    private static void usage() {
        System.err.println("usage: Main URL [--only PREFIX]... [--skip PREFIX]... [--via failover] [--slow N] [--verbose] [--list]");
        System.err.println("       Main URL secured");
        System.err.println("       Main URL,URL... failover-load [--producers N] [--transacted N] [--batch N] [--pause-ms N] [--seed N] [--lenient-marks]");
        System.err.println("       Main URL restart-durable|restart-queue|restart-xa|restart-failover|restart-groups");
        System.exit(2);
    }
}
