import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQQueue;

/** Who gets which message, in which order, and until when. */
final class Delivery {
    private Delivery() {}

    static void cases(Runner r) {
        r.add("delivery.priority-header-kept", c -> {
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 10; i++) {
                producer.setPriority(i);
                producer.send(session.createTextMessage("p" + i));
            }
            MessageConsumer consumer = session.createConsumer(c.queue());
            int seen = 0;
            for (int i = 0; i < 10; i++) {
                TextMessage m = (TextMessage) c.take(consumer, "message " + i);
                Check.same("p" + m.getJMSPriority(), m.getText(), "text and JMSPriority");
                seen |= 1 << m.getJMSPriority();
            }
            Check.same(1023, seen, "priorities seen");
        });
        r.add("delivery.ttl.expires-in-queue", c -> {
            Session session = c.auto(c.connect());
            ttl(session, c.queue(), "short", 150);
            ttl(session, c.queue(), "long", 60000);
            Thread.sleep(400);
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "long");
            c.nothing(consumer, "expired");
        });
        r.add("delivery.ttl.expires-in-prefetch", c -> {
            Session session = c.auto(c.connect());
            MessageConsumer consumer = session.createConsumer(c.queue());
            ttl(session, c.queue(), "short", 150);
            Thread.sleep(400);
            c.nothing(consumer, "expired while prefetched");
            ttl(session, c.queue(), "long", 60000);
            c.expect(consumer, "long");
        });
        r.add("delivery.ttl.not-yet", c -> {
            Session session = c.auto(c.connect());
            ttl(session, c.queue(), "a", 30000);
            c.expect(session.createConsumer(c.queue()), "a");
        });
        r.add("delivery.prefetch-1.fairness", c -> {
            String one = "jms.prefetchPolicy.queuePrefetch=1";
            MessageConsumer slow = c.connect(one).createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            MessageConsumer quick = c.auto(c.connect(one)).createConsumer(c.queue());
            c.put(c.queue(), Case.numbered("m", 10));
            Message held = c.take(slow, "the slow one's message");
            List<String> rest = c.drain(quick);
            // The slow consumer holds one, and at most one more waits in its prefetch.
            Check.that(rest.size() >= 8, "the quick consumer got only " + rest);
            held.acknowledge();
        });
        r.add("delivery.prefetch-1.both-work", c -> {
            String one = "jms.prefetchPolicy.queuePrefetch=1";
            AtomicInteger[] counts = {new AtomicInteger(), new AtomicInteger()};
            CountDownLatch all = new CountDownLatch(40);
            for (AtomicInteger count : counts)
                c.auto(c.connect(one)).createConsumer(c.queue()).setMessageListener(m -> {
                    count.incrementAndGet();
                    pause(10);
                    all.countDown();
                });
            c.put(c.queue(), Case.numbered("m", 40));
            Check.that(all.await(8, TimeUnit.SECONDS), "not all came: " + all.getCount() + " missing");
            for (AtomicInteger count : counts) Check.that(count.get() >= 10, "one consumer got only " + count);
        });
        r.add("delivery.round-robin", c -> {
            MessageConsumer[] consumers = new MessageConsumer[4];
            for (int i = 0; i < 4; i++) consumers[i] = c.auto(c.connect()).createConsumer(c.queue());
            c.put(c.queue(), Case.numbered("m", 40));
            int total = 0;
            for (MessageConsumer consumer : consumers) {
                int got = c.drain(consumer).size();
                Check.that(got >= 5 && got <= 20, "uneven: one of four consumers got " + got + " of 40");
                total += got;
            }
            Check.same(40, total, "received together");
        });
        r.add("delivery.topic.fan-out", c -> {
            MessageConsumer[] consumers = new MessageConsumer[8];
            for (int i = 0; i < 8; i++) consumers[i] = c.auto(c.connect()).createConsumer(c.topic());
            c.put(c.topic(), Case.numbered("m", 100));
            for (MessageConsumer consumer : consumers) c.expect(consumer, Case.numbered("m", 100));
        });
        r.add("delivery.topic.no-backlog", c -> {
            c.put(c.topic(), "before");
            MessageConsumer consumer = c.auto(c.connect()).createConsumer(c.topic());
            c.put(c.topic(), "after");
            c.expect(consumer, "after");
            c.nothing(consumer, "sent before");
        });
        r.add("delivery.topic.two-in-one-session", c -> {
            Session session = c.auto(c.connect());
            MessageConsumer a = session.createConsumer(c.topic());
            MessageConsumer b = session.createConsumer(c.topic());
            Case.send(session, c.topic(), "x");
            c.expect(a, "x");
            c.expect(b, "x");
        });
        r.add("delivery.connection-not-started", c -> {
            ActiveMQConnection one = c.fresh(Case.factory(""));
            MessageConsumer consumer = c.auto(one).createConsumer(c.queue());
            c.put(c.queue(), "a");
            c.nothing(consumer, "before start");
            one.start();
            c.expect(consumer, "a");
            one.stop();
            c.put(c.queue(), "b");
            c.nothing(consumer, "while stopped");
            one.start();
            c.expect(consumer, "b");
        });
        r.add("delivery.prefetch-window-slides", c -> {
            c.put(c.queue(), Case.numbered("m", 300));
            ActiveMQConnection one = c.connect("jms.prefetchPolicy.queuePrefetch=7");
            c.expect(c.auto(one).createConsumer(c.queue()), Case.numbered("m", 300));
            one.close();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("delivery.consumer-ahead-of-window.client-ack", c -> {
            // More messages than the prefetch are taken without one acknowledge: the delivered acks must open the window.
            c.put(c.queue(), Case.numbered("m", 50));
            ActiveMQConnection one = c.connect("jms.prefetchPolicy.queuePrefetch=10");
            MessageConsumer consumer = one.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            List<Message> got = new ArrayList<>();
            for (int i = 0; i < 50; i++) got.add(c.take(consumer, "message " + i));
            got.get(49).acknowledge();
            one.close();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("delivery.message-groups", c -> {
            MessageConsumer a = c.auto(c.connect()).createConsumer(c.queue());
            MessageConsumer b = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 30; i++) {
                TextMessage m = session.createTextMessage("g" + i % 3);
                m.setStringProperty("JMSXGroupID", "g" + i % 3);
                producer.send(m);
            }
            List<String> ofA = c.drain(a);
            List<String> ofB = c.drain(b);
            Check.same(30, ofA.size() + ofB.size(), "received together");
            for (String text : ofA) Check.that(!ofB.contains(text), "group " + text + " went to both consumers");
            Check.that(!ofA.isEmpty() && !ofB.isEmpty(), "one consumer got all groups");
        });
        r.add("delivery.message-groups.move-on-close", c -> {
            ActiveMQConnection one = c.connect();
            MessageConsumer a = c.auto(one).createConsumer(c.queue());
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            grouped(session, producer, "first");
            TextMessage first = (TextMessage) c.take(a, "first");
            Check.same(true, first.getBooleanProperty("JMSXGroupFirstForConsumer"), "JMSXGroupFirstForConsumer");
            MessageConsumer b = c.auto(c.connect()).createConsumer(c.queue());
            grouped(session, producer, "second");
            c.expect(a, "second");
            c.nothing(b, "of the other consumer's group");
            one.close();
            grouped(session, producer, "third");
            c.expect(b, "third");
        });
        r.add("delivery.message-groups.ten-consumers", c -> {
            MessageConsumer[] consumers = new MessageConsumer[10];
            for (int i = 0; i < 10; i++) consumers[i] = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 500; i++) grouped(session, producer, "g" + i % 50, 0, i % 50 + ":" + i / 50);
            int[] next = new int[50];
            int groups = 0;
            for (MessageConsumer consumer : consumers) {
                List<String> got = c.drain(consumer);
                java.util.Set<String> mine = new java.util.HashSet<>();
                for (String text : got) {
                    String[] parts = text.split(":");
                    Check.same(next[Integer.parseInt(parts[0])]++, Integer.parseInt(parts[1]), "place in group " + parts[0]);
                    mine.add(parts[0]);
                }
                Check.same(5, mine.size(), "groups of one of ten consumers");
                Check.same(50, got.size(), "messages of one of ten consumers");
                groups += mine.size();
            }
            Check.same(50, groups, "groups of all consumers");
        });
        r.add("delivery.message-groups.shared-out-when-one-leaves", c -> {
            ActiveMQConnection[] connections = new ActiveMQConnection[4];
            MessageConsumer[] consumers = new MessageConsumer[4];
            for (int i = 0; i < 4; i++) {
                connections[i] = c.connect();
                consumers[i] = c.auto(connections[i]).createConsumer(c.queue());
            }
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 12; i++) grouped(session, producer, "g" + i, 0, "g" + i);
            List<String> orphans = c.drain(consumers[0]);
            Check.same(3, orphans.size(), "groups of the one that leaves");
            List<List<String>> before = new ArrayList<>();
            for (int i = 1; i < 4; i++) before.add(c.drain(consumers[i]));
            connections[0].close();
            for (int i = 0; i < 12; i++) grouped(session, producer, "g" + i, 0, "g" + i);
            for (int i = 1; i < 4; i++) {
                List<String> after = c.drain(consumers[i]);
                Check.that(after.containsAll(before.get(i - 1)), "a group of a consumer that stayed went elsewhere");
                Check.same(4, after.size(), "groups of one of three consumers");
            }
        });
        r.add("delivery.message-groups.close", c -> {
            MessageConsumer a = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            grouped(session, producer, "g", 1, "first");
            grouped(session, producer, "g", 2, "second");
            grouped(session, producer, "g", -1, "last");
            Check.same(true, first(c.take(a, "first")), "JMSXGroupFirstForConsumer of first");
            Check.same(false, first(c.take(a, "second")), "JMSXGroupFirstForConsumer of second");
            Message last = c.take(a, "last");
            Check.same(-1, last.getIntProperty("JMSXGroupSeq"), "JMSXGroupSeq");
            grouped(session, producer, "g", 0, "again");
            Check.same(true, first(c.take(a, "again")), "JMSXGroupFirstForConsumer after the close");
        });
        r.add("delivery.message-groups.full-owner-holds-up-nobody", c -> {
            String one = "jms.prefetchPolicy.queuePrefetch=1";
            MessageConsumer a = c.connect(one).createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 5; i++) grouped(session, producer, "slow", 0, "slow" + i);
            c.take(a, "the slow one's message");
            MessageConsumer b = c.auto(c.connect(one)).createConsumer(c.queue());
            for (int i = 0; i < 5; i++) grouped(session, producer, "quick", 0, "quick" + i);
            c.expect(b, Case.numbered("quick", 5));
        });
        r.add("delivery.any-destination-producer", c -> {
            Session session = c.auto(c.connect());
            MessageProducer producer = session.createProducer(null);
            for (int i = 0; i < 5; i++) producer.send(new ActiveMQQueue(c.unique("q" + i)), session.createTextMessage("m" + i));
            for (int i = 0; i < 5; i++) c.expect(session.createConsumer(c.queue("q" + i)), "m" + i);
        });
    }

    private static void grouped(Session session, MessageProducer producer, String text) throws Exception {
        TextMessage m = session.createTextMessage(text);
        m.setStringProperty("JMSXGroupID", "g");
        producer.send(m);
    }

    private static void grouped(Session session, MessageProducer producer, String group, int sequence, String text)
        throws Exception {
        TextMessage m = session.createTextMessage(text);
        m.setStringProperty("JMSXGroupID", group);
        if (sequence != 0) m.setIntProperty("JMSXGroupSeq", sequence);
        producer.send(m);
    }

    private static boolean first(Message m) throws Exception {
        return m.getBooleanProperty("JMSXGroupFirstForConsumer");
    }

    private static void ttl(Session session, jakarta.jms.Destination to, String text, long ttl) throws Exception {
        MessageProducer producer = session.createProducer(to);
        producer.send(session.createTextMessage(text), DeliveryMode.NON_PERSISTENT, 4, ttl);
        producer.close();
    }

    static void pause(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
