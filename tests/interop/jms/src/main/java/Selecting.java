import jakarta.jms.Destination;
import jakarta.jms.InvalidSelectorException;
import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;

/** Selectors, wildcards, composite destinations and destination options. */
final class Selecting {
    private Selecting() {}

    /** Selectors and the messages of stock() they let through. */
    private static final String[][] SELECTORS = {
        {"n = 3", "m3"},
        {"n <> 3 AND n <= 4", "m0 m1 m2 m4"},
        {"n BETWEEN 2 AND 4", "m2 m3 m4"},
        {"n NOT BETWEEN 1 AND 8", "m0 m9"},
        {"n * 2 + 1 = 7", "m3"},
        {"colour = 'red' AND n > 5", "m6 m8"},
        {"colour IN ('red', 'none') AND n < 3", "m0 m2"},
        {"colour NOT IN ('red') AND n < 3", "m1"},
        {"colour LIKE 'bl%' AND n < 4", "m1 m3"},
        {"colour LIKE 'r_d' AND n < 3", "m0 m2"},
        {"colour NOT LIKE 'bl%' AND n = 4", "m4"},
        {"odd IS NOT NULL AND n < 4", "m1 m3"},
        {"odd IS NULL AND n < 4", "m0 m2"},
        {"odd = TRUE AND n > 7", "m9"},
        {"missing = 1 OR n = 2", "m2"},
        {"NOT (n > 1)", "m0 m1"},
        {"JMSPriority > 7", "m8 m9"},
        {"JMSType = 'type5'", "m5"},
        {"JMSCorrelationID = 'c4'", "m4"},
        {"JMSDeliveryMode = 'PERSISTENT' AND n = 1", "m1"},
        {"ratio > 0.65 AND ratio < 0.85", "m7 m8"},
        {"umlaut = 'größe2'", "m2"},
        {"quote = 'it''s 6'", "m6"},
        {"n + 0 = 7 OR (n - 1 = 7 AND colour = 'red')", "m7 m8"},
    };

    static void cases(Runner r) {
        for (int i = 0; i < SELECTORS.length; i += 6) {
            int from = i;
            r.add("selector.queue." + (i / 6 + 1), c -> queueSelectors(c, from, Math.min(from + 6, SELECTORS.length)));
        }
        r.add("selector.topic", Selecting::topicSelectors);
        r.add("selector.refused", c -> {
            Session session = c.auto(c.connect());
            Check.fails(InvalidSelectorException.class, () -> session.createConsumer(c.queue(), "n = = 3"), "a broken selector");
            Case.send(session, c.queue(), "a");
            c.expect(session.createConsumer(c.queue()), "a");
        });
        r.add("selector.two-share-a-queue", c -> {
            Session session = c.auto(c.connect());
            MessageConsumer red = session.createConsumer(c.queue(), "colour = 'red'");
            MessageConsumer blue = session.createConsumer(c.queue(), "colour = 'blue'");
            stock(c, c.queue());
            c.expect(red, "m0", "m2", "m4", "m6", "m8");
            c.expect(blue, "m1", "m3", "m5", "m7", "m9");
        });
        for (String wildcard : new String[] {"A.*", "A.>", "*.b", "A.*.c", ">"}) {
            r.add("wildcard.topic." + wildcard, c -> wildcard(c, wildcard, false));
            if (!wildcard.equals(">")) r.add("wildcard.queue." + wildcard, c -> wildcard(c, wildcard, true));
        }
        r.add("wildcard.queue.new-queues-later", c -> {
            MessageConsumer all = c.auto(c.connect()).createConsumer(c.queue(">"));
            c.put(c.queue("later"), "a");
            c.expect(all, "a");
            c.put(c.queue("much.later"), "b");
            c.expect(all, "b");
        });
        r.add("composite.send.queues", c -> {
            c.put(new ActiveMQQueue(c.unique("1") + "," + c.unique("2") + "," + c.unique("3")), "a", "b");
            for (String n : new String[] {"1", "2", "3"}) Check.same(List.of("a", "b"), c.drain(c.queue(n)), "queue " + n);
        });
        r.add("composite.send.queue-and-topic", c -> {
            MessageConsumer topic = c.auto(c.connect()).createConsumer(c.topic());
            c.put(new ActiveMQQueue(c.unique("q") + ",topic://" + c.unique("t")), "a");
            c.expect(topic, "a");
            TextMessage got = (TextMessage) c.take(c.auto(c.connect()).createConsumer(c.queue()), "the queue's copy");
            Check.same(c.queue(), got.getJMSDestination(), "JMSDestination");
        });
        r.add("composite.send.transacted", c -> {
            Session session = c.transacted(c.connect());
            Destination both = new ActiveMQQueue(c.unique("1") + "," + c.unique("2"));
            Case.send(session, both, "no");
            session.rollback();
            Case.send(session, both, "yes");
            session.commit();
            Check.same(List.of("yes"), c.drain(c.queue("1")), "queue 1");
            Check.same(List.of("yes"), c.drain(c.queue("2")), "queue 2");
        });
        r.add("composite.receive", c -> {
            c.put(c.queue("1"), "a");
            c.put(c.queue("2"), "b");
            MessageConsumer both = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("1") + "," + c.unique("2")));
            Check.same(new TreeSet<>(List.of("a", "b")), new TreeSet<>(List.of(c.takeText(both), c.takeText(both))), "received");
            c.put(c.queue("2"), "c");
            c.expect(both, "c");
            Check.same(List.of(), c.drain(c.queue("1")), "left in 1");
            Check.same(List.of(), c.drain(c.queue("2")), "left in 2");
        });
        r.add("options.prefetch-size", c -> {
            c.put(c.queue(), Case.numbered("m", 6));
            MessageConsumer first = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("q") + "?consumer.prefetchSize=2"));
            Thread.sleep(200);
            MessageConsumer second = c.auto(c.connect()).createConsumer(c.queue());
            c.expect(second, "m2", "m3", "m4", "m5");
            c.nothing(second, "prefetched by the first consumer");
            c.expect(first, "m0", "m1");
        });
        r.add("options.exclusive", c -> {
            Destination exclusive = new ActiveMQQueue(c.unique("q") + "?consumer.exclusive=true");
            ActiveMQConnection one = c.connect();
            MessageConsumer first = c.auto(one).createConsumer(exclusive);
            MessageConsumer second = c.auto(c.connect()).createConsumer(exclusive);
            c.put(c.queue(), Case.numbered("m", 10));
            c.expect(first, Case.numbered("m", 10));
            c.nothing(second, "for the other exclusive consumer");
            one.close();
            c.put(c.queue(), "after");
            c.expect(second, "after");
        });
        r.add("options.priority", c -> {
            MessageConsumer low = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("q") + "?consumer.priority=1"));
            MessageConsumer high = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("q") + "?consumer.priority=10"));
            c.put(c.queue(), Case.numbered("m", 10));
            c.expect(high, Case.numbered("m", 10));
            c.nothing(low, "for the consumer of lower priority");
        });
        r.add("options.priority-spills-over", c -> {
            MessageConsumer low = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("q") + "?consumer.priority=1"));
            MessageConsumer high = c.auto(c.connect()).createConsumer(new ActiveMQQueue(c.unique("q") + "?consumer.priority=10&consumer.prefetchSize=2"));
            c.put(c.queue(), Case.numbered("m", 4));
            Thread.sleep(100);
            c.expect(low, "m2", "m3");
            c.expect(high, "m0", "m1");
        });
        r.add("options.retroactive-topic-accepted", c -> {
            MessageConsumer consumer = c.auto(c.connect()).createConsumer(new ActiveMQTopic(c.unique("t") + "?consumer.retroactive=true"));
            c.put(c.topic(), "a");
            c.expect(consumer, "a");
        });
        r.add("options.no-local", c -> {
            Session session = c.auto(c.connect());
            MessageConsumer consumer = session.createConsumer(c.topic(), null, true);
            Case.send(session, c.topic(), "mine");
            c.put(c.topic(), "other");
            c.expect(consumer, "other");
            c.nothing(consumer, "own message");
        });
    }

    private static void stock(Case c, Destination to) throws JMSException {
        ActiveMQConnection one = c.connect();
        Session session = c.auto(one);
        MessageProducer producer = session.createProducer(to);
        for (int i = 0; i < 10; i++) {
            TextMessage m = session.createTextMessage("m" + i);
            m.setIntProperty("n", i);
            m.setStringProperty("colour", i % 2 == 0 ? "red" : "blue");
            if (i % 2 == 1) m.setBooleanProperty("odd", true);
            m.setDoubleProperty("ratio", i / 10.0);
            m.setStringProperty("umlaut", "größe" + i);
            m.setStringProperty("quote", "it's " + i);
            m.setJMSType("type" + i);
            m.setJMSCorrelationID("c" + i);
            producer.setPriority(i);
            producer.send(m);
        }
        one.close();
    }

    private static void queueSelectors(Case c, int from, int to) throws JMSException {
        for (int i = from; i < to; i++) {
            stock(c, c.queue("q" + i));
            c.step("selector " + SELECTORS[i][0]);
            ActiveMQConnection one = c.connect();
            MessageConsumer consumer = c.auto(one).createConsumer(c.queue("q" + i), SELECTORS[i][0]);
            Check.same(SELECTORS[i][1], String.join(" ", until(consumer, SELECTORS[i][1])), SELECTORS[i][0]);
            one.close();
        }
    }

    private static void topicSelectors(Case c) throws JMSException {
        Session session = c.auto(c.connect());
        MessageConsumer[] consumers = new MessageConsumer[SELECTORS.length];
        for (int i = 0; i < SELECTORS.length; i++) consumers[i] = session.createConsumer(c.topic(), SELECTORS[i][0]);
        stock(c, c.topic());
        for (int i = 0; i < SELECTORS.length; i++)
            Check.same(SELECTORS[i][1], String.join(" ", until(consumers[i], SELECTORS[i][1])), SELECTORS[i][0]);
    }

    /** As many as wanted, and what comes beyond them. */
    private static List<String> until(MessageConsumer consumer, String wanted) throws JMSException {
        List<String> texts = new ArrayList<>();
        int count = wanted.split(" ").length;
        while (true) {
            TextMessage m = (TextMessage) consumer.receive(texts.size() < count ? Case.WAIT * Case.slow : 60);
            if (m == null) return texts;
            texts.add(m.getText());
        }
    }

    private static void wildcard(Case c, String wildcard, boolean queue) throws JMSException {
        // Names under the case's own prefix: A, A.b, A.b.c, B.b, A.x
        String[] names = {"A", "A.b", "A.b.c", "B.b", "A.x"};
        String want = switch (wildcard) {
            case "A.*" -> "A.b A.x";
            case "A.>" -> "A A.b A.b.c A.x";
            case "*.b" -> "A.b B.b";
            case "A.*.c" -> "A.b.c";
            default -> "A A.b A.b.c B.b A.x";
        };
        String prefix = c.name.replace('.', '-').replaceAll("[^a-z-]", "") + wildcard.length() + wildcard.chars().sum() + Case.RUN + ".";
        MessageConsumer consumer = c.auto(c.connect())
            .createConsumer(queue ? new ActiveMQQueue(prefix + wildcard) : new ActiveMQTopic(prefix + wildcard));
        for (String n : names) c.put(queue ? new ActiveMQQueue(prefix + n) : new ActiveMQTopic(prefix + n), n);
        Check.same(want, String.join(" ", until(consumer, want)), "matched by " + wildcard);
    }
}
