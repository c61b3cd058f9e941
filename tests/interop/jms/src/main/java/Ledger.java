import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What a broker promised to a number of clients and what it kept. Every message is an entry with what is known of its send and
 * of its last delivery; at the end the two must go together.
 */
final class Ledger {
    /** What a broker did that it must not do. */
    enum Fault {
        LOST("confirmed and never delivered, or given back and not delivered again"),
        DOUBLED("delivered again after its acknowledgement or commit was confirmed"),
        PHANTOM("delivered though its transaction was rolled back or is open"),
        TORN("of a commit in doubt some took effect and some did not"),
        ORDER("of one producer, delivered after a later one"),
        UNMARKED("delivered again without JMSRedelivered"),
        DEAD("went to the dead letters without having been delivered"),
        FOREIGN("no message of this run, or a damaged one");

        final String meaning;

        Fault(String meaning) {
            this.meaning = meaning;
        }
    }

    /** In a transaction a send is OPEN only when its commit is on its way. */
    private enum Send { UNCOMMITTED, OPEN, CONFIRMED, DOUBT, NEVER }

    private enum Taken { NOT, DOUBT, CONFIRMED }

    /** One message. */
    static final class Entry {
        final int producer;
        final int number;
        private Send send;
        private Taken taken = Taken.NOT;
        private int deliveries;
        /** As brokers and client libraries name it in their logs. */
        private String id;
        private boolean dead;
        /** Who it was delivered to last. */
        private Reader holder;
        /** The transaction that acknowledges it, from when its commit goes out until it comes again or the commit is confirmed. */
        private Work doubt;

        private Entry(int producer, int number, Send send) {
            this.producer = producer;
            this.number = number;
            this.send = send;
        }

        @Override
        public String toString() {
            return "message " + number + " of producer " + producer + " (send " + send + ", taken " + taken + ", deliveries " + deliveries + ", " + id + ")";
        }
    }

    /** Sends and acknowledgements that take effect together. */
    static final class Work {
        private final List<Entry> sends = new ArrayList<>();
        private final List<Entry> acks = new ArrayList<>();
        private boolean committing;
        private Boolean tookEffect;
        private boolean torn;

        void take(Entry entry) {
            acks.add(entry);
        }

        boolean tookNothing() {
            return acks.isEmpty();
        }

        boolean isCommitting() {
            return committing;
        }
    }

    /** Who reads, for the order in which it does. */
    static final class Reader {
        final String name;
        private long era = -1;
        private final Map<Integer, Integer> highest = new HashMap<>();
        /** Another reader of the queue gave messages back since the last kill, which may come behind later ones. */
        private boolean disturbed;
        /** Of this run; judged where a queue has one reader alone. */
        private final boolean alone;
        private final Map<Integer, Integer> first = new HashMap<>();
        private long lastNanos = System.nanoTime() - TimeUnit.HOURS.toNanos(2);

        Reader(String name, boolean alone) {
            this.name = name;
            this.alone = alone;
        }
    }

    /** Of each kind. */
    private static final int FINDINGS_MAX = 5;

    private final List<List<Entry>> producers = new ArrayList<>();
    private final List<Work> doubts = new ArrayList<>();
    private final Map<Fault, Integer> faults = new EnumMap<>(Fault.class);
    private final List<String> findings = new ArrayList<>();
    private final boolean lenientMarks;
    private int confirmed;
    private int deliveries;
    private int acknowledged;
    private int again;
    private int unmarked;
    private int rolledBack;
    private int sendsInDoubt;
    private int deadLetters;
    private int ignored;
    private int refusals;
    private long lastNanos = System.nanoTime();

    Ledger(int producers, boolean lenientMarks) {
        for (int p = 0; p < producers; p++) this.producers.add(new ArrayList<>());
        this.lenientMarks = lenientMarks;
    }

    /** A message that is about to be sent, in a transaction or alone. */
    synchronized Entry sending(int producer, Work work) {
        List<Entry> all = producers.get(producer);
        Entry entry = new Entry(producer, all.size(), work == null ? Send.OPEN : Send.UNCOMMITTED);
        all.add(entry);
        if (work != null) work.sends.add(entry);
        return entry;
    }

    synchronized void confirmed(Entry entry) {
        entry.send = Send.CONFIRMED;
        confirmed++;
    }

    /** A send that ended with an error. */
    synchronized void doubtful(Entry entry) {
        entry.send = Send.DOUBT;
        sendsInDoubt++;
    }

    /** Its commit goes out now. */
    synchronized void committing(Work work) {
        work.committing = true;
        for (Entry entry : work.sends) entry.send = Send.OPEN;
        for (Entry entry : work.acks) {
            entry.taken = Taken.DOUBT;
            entry.doubt = work;
        }
    }

    synchronized void committed(Work work) {
        for (Entry entry : work.sends) confirmed(entry);
        for (Entry entry : work.acks) {
            if (entry.doubt != work) found(Fault.DOUBLED, entry, entry.holder);
            entry.taken = Taken.CONFIRMED;
            entry.doubt = null;
        }
        acknowledged += work.acks.size();
    }

    /** It was rolled back before a commit went out: what it took must come again, what it sent must not come. */
    synchronized void rolledBack(Work work) {
        for (Entry entry : work.sends) entry.send = Send.NEVER;
        rolledBack += work.sends.size();
    }

    /** The commit ended with an error: all of it took effect or nothing. */
    synchronized void inDoubt(Work work) {
        for (Entry entry : work.sends) entry.send = Send.DOUBT;
        doubts.add(work);
    }

    /** Null if it is none of ours. */
    synchronized Entry delivered(Reader reader, long era, int producer, int number, boolean redelivered, String id) {
        lastNanos = reader.lastNanos = System.nanoTime();
        deliveries++;
        Entry entry = find(producer, number);
        if (entry == null) {
            found(Fault.FOREIGN, "message " + number + " of producer " + producer, reader);
            return null;
        }
        entry.id = id;
        if (reader.era != era) {
            reader.era = era;
            reader.highest.clear();
        }
        if (entry.send == Send.NEVER || entry.send == Send.UNCOMMITTED) found(Fault.PHANTOM, entry, reader);
        if (entry.taken == Taken.CONFIRMED) found(Fault.DOUBLED, entry, reader);
        if (entry.deliveries > 0) {
            again++;
            if (!redelivered) {
                unmarked++;
                if (!lenientMarks) found(Fault.UNMARKED, entry, reader);
            }
        } else {
            // What was given back, by another reader too, may come behind others; what comes for the first time keeps its place.
            if (!redelivered && !reader.disturbed && number <= reader.highest.getOrDefault(producer, -1)) found(Fault.ORDER, entry, reader);
            if (reader.alone && number <= reader.first.getOrDefault(producer, -1)) found(Fault.ORDER, entry, reader);
            reader.highest.merge(producer, number, Math::max);
            reader.first.merge(producer, number, Math::max);
        }
        cameAgain(entry);
        entry.deliveries++;
        entry.taken = Taken.NOT;
        entry.holder = reader;
        return entry;
    }

    /** Found among the dead letters, where the client library sends what it has seen before. */
    synchronized void deadLetter(Reader reader, int producer, int number) {
        deadLetters++;
        Entry entry = find(producer, number);
        if (entry == null) {
            found(Fault.FOREIGN, "dead letter " + number + " of producer " + producer, reader);
            return;
        }
        if (entry.deliveries == 0) found(Fault.DEAD, entry, reader);
        if (entry.taken == Taken.CONFIRMED) found(Fault.DOUBLED, entry, reader);
        if (entry.send == Send.NEVER || entry.send == Send.UNCOMMITTED) found(Fault.PHANTOM, entry, reader);
        cameAgain(entry);
        entry.dead = true;
    }

    synchronized void acknowledged(Reader reader, List<Entry> entries) {
        for (Entry entry : entries) {
            if (entry.holder != reader) found(Fault.DOUBLED, entry, entry.holder);
            entry.taken = Taken.CONFIRMED;
        }
        acknowledged += entries.size();
    }

    /** Acknowledged, but over a break: nobody knows whether that reached a broker. */
    synchronized void unsure(Reader reader, List<Entry> entries) {
        for (Entry entry : entries) if (entry.holder == reader) entry.taken = Taken.DOUBT;
    }

    /** Errors that the client library kept to itself. */
    synchronized void refusals(int count) {
        refusals = count;
    }

    /** Something was received over a break, and is given back unseen. */
    synchronized void ignored() {
        ignored++;
    }

    /** A consumer is closed and gives back what it was sent ahead, to whichever of these. */
    synchronized void givesBack(List<Reader> to) {
        for (Reader reader : to) reader.disturbed = true;
    }

    /** What was given back before does not disturb what comes from the next broker. */
    synchronized void killed(List<Reader> all) {
        for (Reader reader : all) reader.disturbed = false;
    }

    synchronized boolean allSince(List<Reader> readers, long nanos) {
        return readers.stream().allMatch(r -> r.lastNanos - nanos > 0);
    }

    /** Confirmed and not yet delivered. */
    synchronized int missing() {
        int missing = 0;
        for (List<Entry> all : producers)
            for (Entry entry : all) if (entry.send == Send.CONFIRMED && entry.deliveries == 0) missing++;
        return missing;
    }

    synchronized long quietNanos() {
        return System.nanoTime() - lastNanos;
    }

    private Entry find(int producer, int number) {
        if (producer < 0 || producer >= producers.size()) return null;
        List<Entry> all = producers.get(producer);
        return number >= 0 && number < all.size() ? all.get(number) : null;
    }

    private void cameAgain(Entry entry) {
        if (entry.doubt != null) decide(entry.doubt, false);
        entry.doubt = null;
    }

    private static void decide(Work work, boolean tookEffect) {
        if (work.tookEffect != null && work.tookEffect != tookEffect) work.torn = true;
        work.tookEffect = tookEffect;
    }

    private void found(Fault fault, Object what, Reader reader) {
        if (faults.merge(fault, 1, Integer::sum) <= FINDINGS_MAX) findings.add(fault + " " + what + (reader == null ? "" : ", at " + reader.name));
    }

    /** Looks for what never came. Nothing may be on its way any more. */
    synchronized void close() {
        for (List<Entry> all : producers)
            for (Entry entry : all) {
                if (entry.dead) continue;
                boolean never = entry.send == Send.CONFIRMED && entry.deliveries == 0;
                if (never || (entry.deliveries > 0 && entry.taken == Taken.NOT)) found(Fault.LOST, entry, null);
            }
        for (Work work : doubts) {
            for (Entry entry : work.sends) decide(work, entry.deliveries > 0 || entry.dead);
            // Whoever came again says so at once; who did not is gone with the commit.
            for (Entry entry : work.acks) if (entry.doubt == work) decide(work, true);
            if (work.torn) found(Fault.TORN, "a commit of " + work.sends.size() + " sends and " + work.acks.size() + " acknowledgements, of them "
                + work.sends.stream().filter(e -> e.deliveries > 0).count() + " arrived and "
                + work.acks.stream().filter(e -> e.doubt == work).count() + " did not come again", null);
        }
    }

    boolean isClean() {
        // An empty run proves nothing.
        return faults.isEmpty() && confirmed > 0 && acknowledged > 0;
    }

    synchronized List<String> report() {
        List<String> rows = new ArrayList<>();
        int sent = producers.stream().mapToInt(List::size).sum();
        row(rows, "sent", sent);
        row(rows, "sends confirmed", confirmed);
        row(rows, "sends rolled back", rolledBack);
        row(rows, "sends that ended with an error", sendsInDoubt);
        row(rows, "commits in doubt", doubts.size());
        row(rows, "  of these took effect", (int) doubts.stream().filter(w -> Boolean.TRUE.equals(w.tookEffect)).count());
        row(rows, "deliveries", deliveries);
        row(rows, "  of these again, not confirmed before", again);
        row(rows, "  of these without JMSRedelivered", unmarked);
        row(rows, "received over a break and given back unseen", ignored);
        row(rows, "acknowledgements confirmed", acknowledged);
        row(rows, "copies that the client sent to the dead letters", deadLetters);
        row(rows, "acknowledgements that the broker refused", refusals);
        for (Fault fault : Fault.values())
            rows.add(String.format("  BROKEN %-8s %8d  %s", fault, faults.getOrDefault(fault, 0), fault.meaning));
        findings.forEach(finding -> rows.add("    " + finding));
        return rows;
    }

    private static void row(List<String> rows, String name, int value) {
        rows.add(String.format("  %-48s %12d", name, value));
    }
}
