import jakarta.jms.DeliveryMode;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.activemq.command.ActiveMQQueue;

/**
 * Clients over failover that work while a harness kills the broker under them, and a ledger that says what was kept of what was
 * promised. Producers send persistent messages one by one and in transactions; consumers acknowledge by themselves, by
 * CLIENT_ACKNOWLEDGE and by transactions; a mover takes and sends in one transaction; one queue is left alone until the end.
 *
 * <pre>
 *  says      READY             everybody has sent or received something
 *  hears     kill MICROSECONDS WHAT   the master, or something else, is killed now; time since 1970
 *  says      AGAIN MS          everybody has sent or received something since
 *  hears     end               the load is over
 *  says      DRAINED           all that was confirmed has been delivered, or it has been quiet for long
 *  hears     verdict           after one kill more: looks whether anything comes that must not, reports, ends
 * </pre>
 */
final class FailoverLoad {
    private enum Phase { LOAD, DRAIN, STOP }

    private interface Client {
        void run() throws Exception;
    }

    /** Queues and what they are for. */
    private static final String[] QUEUES = {"auto", "client", "tx", "in", "shelf"};
    private static final int SHELF_EACH = 50;
    private static final long AGAIN_S = 120;
    private static final long QUIET_S = 3;
    private static final long QUIET_LOST_S = 20;

    private final String urls;
    private int producers = 4;
    private int transacted = 2;
    private int batch = 10;
    private int pauseMs = 2;
    private long seed = 1;
    private final Ledger ledger;
    private final Gaps gaps;
    private final List<Ledger.Reader> readers = new ArrayList<>();
    private final List<Thread> threads = new ArrayList<>();
    private final List<Link> links = new ArrayList<>();
    private volatile Phase phase = Phase.LOAD;
    private volatile Throwable broken;

    private FailoverLoad(String urls, List<String> args) {
        this.urls = urls;
        boolean lenient = false;
        for (int i = 0; i < args.size(); i++) {
            switch (args.get(i)) {
                case "--producers" -> producers = Integer.parseInt(args.get(++i));
                case "--transacted" -> transacted = Integer.parseInt(args.get(++i));
                case "--batch" -> batch = Integer.parseInt(args.get(++i));
                case "--pause-ms" -> pauseMs = Integer.parseInt(args.get(++i));
                case "--seed" -> seed = Long.parseLong(args.get(++i));
                case "--lenient-marks" -> lenient = true;
                default -> throw new IllegalArgumentException("failover-load knows no " + args.get(i));
            }
        }
        ledger = new Ledger(producers + transacted + 1, lenient);
        gaps = new Gaps(producers + transacted);
    }

    static int run(String urls, List<String> args) throws Exception {
        return new FailoverLoad(urls, args).conduct();
    }

    private int conduct() throws Exception {
        long begun = System.nanoTime();
        for (int p = 0; p < producers; p++) {
            int producer = p;
            start("producer " + p, () -> produce(producer));
        }
        for (int p = producers; p < producers + transacted; p++) {
            int producer = p;
            start("transacted producer " + p, () -> produceTransacted(producer));
        }
        automatic("auto", "auto with the client's own audit", "", false);
        automatic("auto", "auto without it", "jms.checkForDuplicates=false", false);
        automatic("out", "auto behind the mover", "", true);
        Ledger.Reader client = reader("client", true);
        start("client", () -> consumeByHand(client));
        for (int i = 0; i < 2; i++) {
            Ledger.Reader tx = reader("transacted " + i, false);
            start(tx.name, () -> consumeTransacted(tx, "tx", null));
        }
        Ledger.Reader mover = reader("mover", true);
        start("mover", () -> consumeTransacted(mover, "in", "out"));

        AtomicLong kills = new AtomicLong();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        again(0, System.nanoTime() - TimeUnit.HOURS.toNanos(1));
        say("READY");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            if (line.startsWith("kill ")) {
                String[] words = line.split(" ", 3);
                long at = Long.parseLong(words[1]);
                kills.incrementAndGet();
                long heard = System.nanoTime();
                ledger.killed(readers);
                if (phase == Phase.LOAD) {
                    gaps.killed(words[2], at);
                    again(at, heard);
                    say("AGAIN " + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - heard));
                }
            } else if (line.equals("end")) {
                drain();
                say("DRAINED");
            } else if (line.equals("verdict")) {
                return verdict(kills.get(), begun);
            }
        }
        System.err.println("nobody asked for the verdict");
        return 2;
    }

    /** Waits until each client has done something since. */
    private void again(long at, long nanos) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(AGAIN_S);
        while (!gaps.allSince(at) || !ledger.allSince(readers, nanos)) {
            check();
            if (System.nanoTime() > end) {
                StringBuilder who = new StringBuilder();
                for (Ledger.Reader r : readers) if (!ledger.allSince(List.of(r), nanos)) who.append(", ").append(r.name);
                say("STUCK for " + AGAIN_S + " s: " + (gaps.allSince(at) ? "all producers go on" : "a producer is not confirmed anything") + who);
                System.exit(1);
            }
            Thread.sleep(10);
        }
    }

    private void check() {
        if (broken != null) throw new IllegalStateException("a client failed", broken);
    }

    private void drain() throws Exception {
        phase = Phase.DRAIN;
        for (Thread t : threads) if (t.getName().contains("producer")) t.join();
        automatic("shelf", "auto of the shelf", "", true);
        while (true) {
            check();
            long quiet = ledger.quietNanos();
            boolean all = ledger.missing() == 0;
            if (quiet > TimeUnit.SECONDS.toNanos(all ? QUIET_S : QUIET_LOST_S)) return;
            Thread.sleep(50);
        }
    }

    private int verdict(long kills, long begun) throws Exception {
        List<Link> all;
        synchronized (links) {
            all = List.copyOf(links);
        }
        for (Link link : all) link.settled();
        long since = System.nanoTime();
        while (Math.min(ledger.quietNanos(), System.nanoTime() - since) < TimeUnit.SECONDS.toNanos(QUIET_S)) Thread.sleep(50);
        phase = Phase.STOP;
        for (Thread t : threads) t.join();
        check();
        sweep();
        ledger.close();
        ledger.refusals(all.stream().mapToInt(Link::refusals).sum());
        System.out.println("failover load: " + kills + " kills in " + TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - begun) + " s, "
            + producers + " producers one by one, " + transacted + " with transactions of " + batch + ", " + readers.size() + " consumers, seed " + seed);
        gaps.report().forEach(System.out::println);
        ledger.report().forEach(System.out::println);
        System.out.println("verdict: " + (ledger.isClean() ? "PASS" : "FAIL"));
        return ledger.isClean() ? 0 : 1;
    }

    /** Takes what is left anywhere: nothing that was acknowledged, and what the client library sent to the dead letters. */
    private void sweep() throws JMSException {
        try (Link link = new Link(urls, "")) {
            Session session = link.connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
            for (String name : List.of("auto", "client", "tx", "in", "out", "shelf")) {
                Ledger.Reader left = new Ledger.Reader("the last look at " + name, false);
                MessageConsumer consumer = session.createConsumer(queue(name));
                for (Message m = consumer.receive(1500); m != null; m = consumer.receive(500)) {
                    Ledger.Entry entry = note(left, 0, m);
                    if (entry != null) ledger.acknowledged(left, List.of(entry));
                }
                consumer.close();
            }
            Ledger.Reader left = new Ledger.Reader("the dead letters", false);
            MessageConsumer consumer = session.createConsumer(new ActiveMQQueue("ActiveMQ.DLQ"));
            for (Message m = consumer.receive(1500); m != null; m = consumer.receive(500))
                ledger.deadLetter(left, m.getIntProperty("producer"), m.getIntProperty("number"));
        }
    }

    private void produce(int producer) throws Exception {
        Link link = link("");
        Random random = random(producer);
        Session session = link.connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
        MessageProducer to = session.createProducer(null);
        to.setDeliveryMode(DeliveryMode.PERSISTENT);
        while (phase == Phase.LOAD) {
            Ledger.Entry entry = ledger.sending(producer, null);
            try {
                to.send(queue(target(entry)), text(session, entry, random));
                ledger.confirmed(entry);
                gaps.confirmed(producer, now());
            } catch (JMSException e) {
                ledger.doubtful(entry);
            }
            Thread.sleep(pauseMs);
        }
    }

    /** What was in doubt or rolled back is followed by as many others: both may arrive then, each whole or not at all. */
    private void produceTransacted(int producer) throws Exception {
        Link link = link("");
        Random random = random(producer);
        Session session = link.connection.createSession(true, Session.SESSION_TRANSACTED);
        MessageProducer to = session.createProducer(null);
        to.setDeliveryMode(DeliveryMode.PERSISTENT);
        while (phase == Phase.LOAD) {
            Ledger.Work work = new Ledger.Work();
            try {
                for (int i = 0; i < batch; i++) {
                    Ledger.Entry entry = ledger.sending(producer, work);
                    to.send(queue(target(entry)), text(session, entry, random));
                }
                if (random.nextInt(20) == 0) {
                    ledger.rolledBack(work);
                    session.rollback();
                } else {
                    ledger.committing(work);
                    session.commit();
                    ledger.committed(work);
                    gaps.confirmed(producer, now());
                }
            } catch (JMSException e) {
                giveUp(session, work);
            }
            Thread.sleep((long) pauseMs * batch);
        }
    }

    /** An error before the commit went out means that nothing happened, one of the commit itself that nobody knows. */
    private void giveUp(Session session, Ledger.Work work) {
        if (work.isCommitting()) ledger.inDoubt(work);
        else ledger.rolledBack(work);
        try {
            session.rollback();
        } catch (JMSException e) {
            // The broker rolls back what a dead connection has begun.
        }
    }

    /**
     * A listener with AUTO_ACKNOWLEDGE: it has the next message when the acknowledgement of the one before was answered. That is
     * believed if both are of one era.
     */
    private void automatic(String queue, String name, String options, boolean alone) {
        Ledger.Reader reader = reader(name, alone);
        start(name, () -> {
            Link link = link(options);
            Session session = link.connection.createSession(false, Session.AUTO_ACKNOWLEDGE);
            Held held = new Held();
            session.createConsumer(queue(queue)).setMessageListener(m -> {
                long era = link.era();
                int refusals = link.refusals();
                settle(reader, held, link.isStill(held.era), refusals);
                try {
                    // One that comes late from a dead broker is acknowledged to nobody.
                    held.era = Link.isStale(m, era) ? -1 : era;
                    held.entry = note(reader, held.era, m);
                    held.refusals = refusals;
                } catch (JMSException e) {
                    broken = e;
                }
            });
            while (phase != Phase.STOP) Thread.sleep(20);
            link.close();
            settle(reader, held, false, 0);
        });
    }

    /** What a listener had last, and when. */
    private static final class Held {
        private Ledger.Entry entry;
        private long era;
        private int refusals;
    }

    private void settle(Ledger.Reader reader, Held held, boolean whole, int refusals) {
        if (held.entry == null) return;
        List<Ledger.Entry> one = List.of(held.entry);
        if (whole && held.refusals == refusals) ledger.acknowledged(reader, one);
        else ledger.unsure(reader, one);
        held.entry = null;
    }

    private void consumeByHand(Ledger.Reader reader) throws Exception {
        Link link = link("");
        Random random = random(1000);
        Session session = link.connection.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        MessageConsumer consumer = session.createConsumer(queue("client"));
        while (phase != Phase.STOP) {
            long era = link.settled();
            List<Ledger.Entry> some = new ArrayList<>();
            Message last = null;
            boolean whole = true;
            for (int most = 1 + random.nextInt(batch); some.size() < most && whole; ) {
                Message m = consumer.receive(last == null ? 100 : 10);
                whole = link.era() == era && (m == null || !Link.isStale(m, era));
                if (m == null) break;
                if (!whole) {
                    ledger.ignored();
                    break;
                }
                Ledger.Entry entry = note(reader, era, m);
                if (entry != null) some.add(entry);
                last = m;
            }
            try {
                if (!whole) {
                    session.recover();
                    // The library would deliver again by itself what no broker knows of.
                    ledger.givesBack(readers);
                    consumer.close();
                    consumer = session.createConsumer(queue("client"));
                } else if (last != null) {
                    last.acknowledge();
                    if (link.isStill(era)) ledger.acknowledged(reader, some);
                    else ledger.unsure(reader, some);
                }
            } catch (JMSException e) {
                ledger.unsure(reader, some);
            }
        }
        link.close();
    }

    /** Takes some and, if told where, sends as many, in one transaction. */
    private void consumeTransacted(Ledger.Reader reader, String from, String to) throws Exception {
        Link link = link("");
        Random random = random(2000 + reader.name.hashCode());
        Session session = link.connection.createSession(true, Session.SESSION_TRANSACTED);
        MessageConsumer consumer = session.createConsumer(queue(from));
        MessageProducer producer = to == null ? null : session.createProducer(queue(to));
        while (phase != Phase.STOP) {
            long era = link.settled();
            Ledger.Work work = new Ledger.Work();
            boolean whole = true;
            try {
                for (int i = 0; i < batch && whole; i++) {
                    Message m = consumer.receive(i == 0 ? 100 : 10);
                    whole = link.era() == era && (m == null || !Link.isStale(m, era));
                    if (m == null) break;
                    if (!whole) {
                        ledger.ignored();
                        break;
                    }
                    Ledger.Entry entry = note(reader, era, m);
                    if (entry == null) continue;
                    work.take(entry);
                    if (producer != null) producer.send(text(session, ledger.sending(producers + transacted, work), random));
                }
                if (!whole || random.nextInt(20) == 0) {
                    ledger.rolledBack(work);
                    session.rollback();
                    if (!whole) {
                        // The library would deliver again by itself what no broker knows of.
                        ledger.givesBack(readers);
                        consumer.close();
                        consumer = session.createConsumer(queue(from));
                    }
                } else if (!work.tookNothing()) {
                    ledger.committing(work);
                    session.commit();
                    ledger.committed(work);
                }
            } catch (JMSException e) {
                giveUp(session, work);
            }
        }
        link.close();
    }

    private Ledger.Entry note(Ledger.Reader reader, long era, Message m) throws JMSException {
        return ledger.delivered(reader, era, m.getIntProperty("producer"), m.getIntProperty("number"), m.getJMSRedelivered(), m.getJMSMessageID());
    }

    private static String target(Ledger.Entry entry) {
        return entry.number % SHELF_EACH == SHELF_EACH - 1 ? "shelf" : QUEUES[entry.number % (QUEUES.length - 1)];
    }

    private static TextMessage text(Session session, Ledger.Entry entry, Random random) throws JMSException {
        TextMessage m = session.createTextMessage("x".repeat(random.nextInt(2000)));
        m.setIntProperty("producer", entry.producer);
        m.setIntProperty("number", entry.number);
        return m;
    }

    private static Queue queue(String name) {
        return new ActiveMQQueue("failover." + Case.RUN + "." + name);
    }

    private Random random(int who) {
        return new Random(seed * 1009 + who);
    }

    private static long now() {
        return ChronoUnit.MICROS.between(Instant.EPOCH, Instant.now());
    }

    private Link link(String options) throws JMSException {
        Link link = new Link(urls, options);
        synchronized (links) {
            links.add(link);
        }
        return link;
    }

    private Ledger.Reader reader(String name, boolean alone) {
        Ledger.Reader reader = new Ledger.Reader(name, alone);
        readers.add(reader);
        return reader;
    }

    private void start(String name, Client client) {
        Thread thread = new Thread(() -> {
            try {
                client.run();
            } catch (Throwable t) {
                broken = t;
            }
        }, name);
        thread.setDaemon(true);
        threads.add(thread);
        thread.start();
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
