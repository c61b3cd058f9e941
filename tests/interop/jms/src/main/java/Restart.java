import jakarta.jms.Destination;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import jakarta.jms.XASession;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import javax.transaction.xa.XAResource;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * Modes for a harness that kills the broker. Each prints READY and waits for a line on stdin; meanwhile the harness
 * kills the broker and starts it again on the same data. Then the mode checks what survived and prints PASS or FAIL.
 */
final class Restart {
    private Restart() {}

    static int run(String mode) throws Exception {
        Case c = new Case(mode);
        try {
            switch (mode) {
                case "restart-queue" -> queue(c);
                case "restart-durable" -> durable(c);
                case "restart-xa" -> xa(c);
                case "restart-failover" -> failover(c);
                case "restart-groups" -> groups(c);
                default -> {
                    System.err.println("no mode named " + mode);
                    return 2;
                }
            }
            System.out.println("PASS " + mode);
            return 0;
        } catch (Throwable t) {
            System.out.println("FAIL " + mode + ": " + Check.text(t));
            if (Main.verbose) t.printStackTrace(System.out);
            return 1;
        } finally {
            Thread closing = new Thread(c::close);
            closing.setDaemon(true);
            closing.start();
            closing.join(5000);
        }
    }

    private static void ready() throws Exception {
        System.out.println("READY");
        System.out.flush();
        while (true) {
            int b = System.in.read();
            if (b == '\n' || b < 0) return;
        }
    }

    /** Connects anew; the restarted broker may need a while. */
    private static ActiveMQConnection later(Case c, String clientId) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        while (true) {
            try {
                return clientId == null ? c.connect() : c.connectAs(clientId, "");
            } catch (JMSException e) {
                if (System.nanoTime() > end) throw e;
                Thread.sleep(200);
            }
        }
    }

    /** Persistent messages, committed work and acks survive; uncommitted work does not. */
    private static void queue(Case c) throws Exception {
        Queue queue = c.queue();
        ActiveMQConnection one = c.connect();
        Session session = c.auto(one);
        MessageProducer producer = session.createProducer(queue);
        List<String> ids = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            TextMessage m = session.createTextMessage("m" + i + " " + Messages.ODD);
            m.setIntProperty("n", i);
            m.setJMSCorrelationID("c" + i);
            producer.send(m);
            ids.add(m.getJMSMessageID());
        }
        Session committed = c.transacted(one);
        Case.send(committed, c.queue("tx"), "committed");
        committed.commit();
        Case.send(committed, c.queue("tx"), "not committed");
        // Ten are consumed for good, five more are delivered but never acknowledged.
        ActiveMQConnection two = c.connect("jms.prefetchPolicy.all=20");
        Session client = two.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        MessageConsumer consumer = client.createConsumer(queue);
        for (int i = 0; i < 10; i++) c.take(consumer, "message " + i).acknowledge();
        for (int i = 10; i < 15; i++) c.take(consumer, "message " + i);
        Session receiving = c.transacted(one);
        c.put(c.queue("rx"), "received, not committed");
        c.expect(receiving.createConsumer(c.queue("rx")), "received, not committed");
        // A sync round trip on the acking connection, so that the async acks before it are in.
        client.createTemporaryQueue();
        ready();
        ActiveMQConnection again = later(c, null);
        Session after = c.auto(again);
        MessageConsumer rest = after.createConsumer(queue);
        for (int i = 10; i < 200; i++) {
            TextMessage m = (TextMessage) c.take(rest, "message " + i);
            Check.same("m" + i + " " + Messages.ODD, m.getText(), "text");
            Check.same(i, m.getIntProperty("n"), "property");
            Check.same("c" + i, m.getJMSCorrelationID(), "JMSCorrelationID");
            Check.same(ids.get(i), m.getJMSMessageID(), "JMSMessageID");
        }
        c.nothing(rest, "after the last one");
        Check.same(List.of("committed"), c.drain(c.queue("tx")), "committed queue");
        Check.same(List.of("received, not committed"), c.drain(c.queue("rx")), "received without commit");
    }

    /** Message groups stay with consumers that come back, whichever comes back first. */
    private static void groups(Case c) throws Exception {
        MessageConsumer[] consumers = new MessageConsumer[3];
        for (int i = 0; i < 3; i++) consumers[i] = c.auto(returning(c)).createConsumer(c.queue());
        Session session = c.auto(returning(c));
        MessageProducer producer = session.createProducer(c.queue());
        sendToGroups(session, producer);
        List<Set<String>> before = new ArrayList<>();
        for (MessageConsumer consumer : consumers) {
            Set<String> mine = Set.copyOf(c.drain(consumer));
            Check.same(4, mine.size(), "groups of one of three consumers");
            before.add(mine);
        }
        ready();
        sendToGroups(session, producer);
        for (int i = 0; i < 3; i++)
            Check.same(before.get(i), Set.copyOf(c.drain(consumers[i])), "groups of consumer " + i + " after the restart");
    }

    private static ActiveMQConnection returning(Case c) throws Exception {
        ActiveMQConnection connection = c.fresh(new ActiveMQConnectionFactory(
            "failover:(" + Case.url + ")?initialReconnectDelay=100&maxReconnectDelay=500&useExponentialBackOff=false"));
        connection.start();
        return connection;
    }

    private static void sendToGroups(Session session, MessageProducer producer) throws Exception {
        for (int i = 0; i < 12; i++) {
            TextMessage m = session.createTextMessage("g" + i);
            m.setStringProperty("JMSXGroupID", "g" + i);
            producer.send(m);
        }
    }

    /** A durable subscription, its selector, its place in the topic and its backlog survive. */
    private static void durable(Case c) throws Exception {
        Topic topic = c.topic();
        String id = c.unique("id");
        ActiveMQConnection one = c.connectAs(id, "");
        Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
        MessageConsumer all = session.createDurableSubscriber(topic, "all");
        MessageConsumer even = session.createDurableSubscriber(topic, "even", "n = 0", false);
        session.createDurableSubscriber(topic, "gone").close();
        session.unsubscribe("gone");
        ActiveMQConnection sender = c.connect();
        Session out = c.auto(sender);
        MessageProducer producer = out.createProducer(topic);
        for (int i = 0; i < 100; i++) {
            TextMessage m = out.createTextMessage("m" + i);
            m.setIntProperty("n", i % 2);
            producer.send(m);
        }
        for (int i = 0; i < 40; i++) c.take(all, "message " + i).acknowledge();
        for (int i = 0; i < 20; i++) c.take(even, "message " + i * 2).acknowledge();
        session.createTemporaryQueue();
        ready();
        ActiveMQConnection again = later(c, id);
        Session after = c.auto(again);
        all = after.createDurableSubscriber(topic, "all");
        for (int i = 40; i < 100; i++) c.expect(all, "m" + i);
        c.nothing(all, "after the last one");
        even = after.createDurableSubscriber(topic, "even", "n = 0", false);
        for (int i = 40; i < 100; i += 2) c.expect(even, "m" + i);
        c.nothing(even, "after the last selected one");
        c.put(topic, "live");
        c.expect(all, "live");
        Check.fails(InvalidDestinationException.class, () -> after.unsubscribe("gone"), "the removed subscription");
    }

    /** Prepared branches survive, are listed and can be finished either way; unprepared ones are gone. */
    private static void xa(Case c) throws Exception {
        c.put(c.queue("in1"), "a");
        c.put(c.queue("in2"), "b");
        for (int n = 1; n <= 3; n++) {
            XASession session = Xa.session(c);
            XAResource resource = session.getXAResource();
            MessageConsumer consumer = session.createConsumer(c.queue("in" + n));
            resource.start(Xa.xid(c, n), XAResource.TMNOFLAGS);
            if (n < 3) c.take(consumer, "input " + n);
            Xa.send(session, c.queue("out"), "out " + n);
            resource.end(Xa.xid(c, n), XAResource.TMSUCCESS);
            if (n < 3) Check.same(XAResource.XA_OK, resource.prepare(Xa.xid(c, n)), "answer of prepare");
        }
        ready();
        later(c, null);
        XAResource resource = Xa.session(c).getXAResource();
        Check.that(Xa.listed(resource, Xa.xid(c, 1)) && Xa.listed(resource, Xa.xid(c, 2)), "the prepared branches are not listed");
        Check.that(!Xa.listed(resource, Xa.xid(c, 3)), "an unprepared branch is listed");
        Check.same(List.of(), c.drain(c.queue("out")), "sent before the decision");
        resource.commit(Xa.xid(c, 1), false);
        resource.rollback(Xa.xid(c, 2));
        Check.same(List.of("out 1"), c.drain(c.queue("out")), "sent after the decision");
        Check.same(List.of(), c.drain(c.queue("in1")), "input of the committed branch");
        Check.same(List.of("b"), c.drain(c.queue("in2")), "input of the rolled back branch");
    }

    /** Producers and consumers over failover go on by themselves; what was confirmed arrives. */
    private static void failover(Case c) throws Exception {
        ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(
            "failover:(" + Case.url + ")?initialReconnectDelay=100&maxReconnectDelay=500&useExponentialBackOff=false");
        factory.setRedeliveryPolicy(quick(factory));
        Set<String> confirmed = new ConcurrentSkipListSet<>();
        Map<String, Integer> seen = new ConcurrentHashMap<>();
        Map<String, Integer> seenTx = new ConcurrentHashMap<>();
        Map<String, String> faults = new ConcurrentHashMap<>();
        AtomicBoolean going = new AtomicBoolean(true);
        AtomicInteger rolledBack = new AtomicInteger();
        Set<String> doubtful = new ConcurrentSkipListSet<>();
        List<Thread> producers = new ArrayList<>();

        Session plain = c.auto(started(c, factory));
        plain.createConsumer(c.queue("plain")).setMessageListener(m -> note(m, seen, faults));
        ActiveMQConnection owner = started(c, factory);
        Session durable = c.auto(owner);
        Map<String, Integer> replies = new ConcurrentHashMap<>();
        var temporary = durable.createTemporaryQueue();
        durable.createConsumer(temporary).setMessageListener(m -> note(m, replies, faults));
        Thread transacted = new Thread(() -> consumeTransacted(c, factory, going, seenTx, rolledBack, doubtful, faults));
        transacted.start();

        for (int p = 0; p < 3; p++) {
            int number = p;
            Thread t = new Thread(() -> produce(c, factory, number, going, confirmed, faults));
            t.start();
            producers.add(t);
        }
        await(() -> seen.size() > 100 && seenTx.size() > 20, 20, () -> "start: " + seen.size() + " and " + seenTx.size() + " received");
        ready();
        int seenBefore = seen.size();
        int txBefore = seenTx.size();
        await(() -> seen.size() > seenBefore + 100 && seenTx.size() > txBefore + 20, 60,
            () -> "after the restart only " + (seen.size() - seenBefore) + " and " + (seenTx.size() - txBefore) + " more came; faults " + faults);
        // The temporary queue is restored by its owner, who may come back after those who are heard above; until then nobody
        // can send to it.
        await(() -> sent(plain, temporary, "reply"), 30, () -> "the temporary queue is not there after the restart");
        await(() -> replies.containsKey("reply"), 30, () -> "the temporary queue is not served after the restart");
        going.set(false);
        for (Thread t : producers) t.join(30000);
        await(() -> missing(confirmed, "plain", seen) == 0 && missing(confirmed, "tx", seenTx, doubtful) == 0, 30,
            () -> "lost: " + missing(confirmed, "plain", seen) + " of the plain queue, " + missing(confirmed, "tx", seenTx, doubtful) + " of the transacted one");
        transacted.join(10000);
        Check.same(Map.of(), faults, "faults");
        Map<String, Integer> twice = new TreeMap<>();
        seenTx.forEach((k, v) -> { if (v > 1) twice.put(k, v); });
        long again = seen.values().stream().filter(v -> v > 1).count();
        System.out.println(confirmed.size() + " confirmed, " + again + " received again in AUTO mode, " + twice.size()
            + " in committed transactions, " + rolledBack + " commits in doubt rolled back, "
            + missing(doubtful, "tx", seenTx) + " messages of them had been taken");
    }

    private static org.apache.activemq.RedeliveryPolicy quick(ActiveMQConnectionFactory factory) {
        var policy = factory.getRedeliveryPolicy();
        policy.setInitialRedeliveryDelay(0);
        policy.setRedeliveryDelay(0);
        policy.setMaximumRedeliveries(-1);
        return policy;
    }

    private static ActiveMQConnection started(Case c, ActiveMQConnectionFactory factory) throws JMSException {
        ActiveMQConnection one = c.fresh(factory);
        one.start();
        return one;
    }

    private static void produce(Case c, ActiveMQConnectionFactory factory, int number, AtomicBoolean going, Set<String> confirmed, Map<String, String> faults) {
        try {
            Session session = c.auto(started(c, factory));
            MessageProducer plain = session.createProducer(c.queue("plain"));
            MessageProducer tx = session.createProducer(c.queue("tx"));
            for (int i = 0; going.get(); i++) {
                plain.send(session.createTextMessage("plain " + number + "/" + i));
                confirmed.add("plain " + number + "/" + i);
                tx.send(session.createTextMessage("tx " + number + "/" + i));
                confirmed.add("tx " + number + "/" + i);
                Thread.sleep(2);
            }
        } catch (Exception e) {
            faults.put("producer " + number, e.toString());
        }
    }

    /**
     * Counts only what was committed. A commit in doubt is rolled back by the client; what it was about comes again, unless
     * the broker had carried it out and only its answer was lost.
     */
    private static void consumeTransacted(Case c, ActiveMQConnectionFactory factory, AtomicBoolean going, Map<String, Integer> seen, AtomicInteger rolledBack, Set<String> doubtful, Map<String, String> faults) {
        try {
            Session session = c.transacted(started(c, factory));
            MessageConsumer consumer = session.createConsumer(c.queue("tx"));
            int quiet = 0;
            while (going.get() || quiet < 6) {
                List<String> batch = new ArrayList<>();
                boolean committing = false;
                try {
                    Message first = consumer.receive(500);
                    for (Message m = first; m != null; m = batch.size() < 5 ? consumer.receive(5) : null) batch.add(((TextMessage) m).getText());
                    committing = true;
                    session.commit();
                    batch.forEach(text -> seen.merge(text, 1, Integer::sum));
                    quiet = first == null ? quiet + 1 : 0;
                } catch (JMSException e) {
                    rolledBack.incrementAndGet();
                    if (committing) doubtful.addAll(batch);
                    try {
                        session.rollback();
                    } catch (JMSException again) {
                        // The next receive begins anew.
                    }
                }
            }
        } catch (Exception e) {
            faults.put("transacted consumer", e.toString());
        }
    }

    private static void note(Message m, Map<String, Integer> seen, Map<String, String> faults) {
        try {
            seen.merge(((TextMessage) m).getText(), 1, Integer::sum);
        } catch (Exception e) {
            faults.put("consumer", e.toString());
        }
    }

    private static long missing(Set<String> confirmed, String kind, Map<String, Integer> seen) {
        return missing(confirmed, kind, seen, Set.of());
    }

    private static long missing(Set<String> confirmed, String kind, Map<String, Integer> seen, Set<String> doubtful) {
        return confirmed.stream().filter(t -> t.startsWith(kind + " ") && !seen.containsKey(t) && !doubtful.contains(t)).count();
    }

    /** Whether there is a destination to send to. */
    private static boolean sent(Session session, Destination destination, String text) throws JMSException {
        try {
            Case.send(session, destination, text);
            return true;
        } catch (InvalidDestinationException e) {
            return false;
        }
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(Condition condition, int seconds, java.util.function.Supplier<String> otherwise) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!condition.holds()) {
            Check.that(System.nanoTime() < end, otherwise.get());
            Thread.sleep(50);
        }
    }
}
