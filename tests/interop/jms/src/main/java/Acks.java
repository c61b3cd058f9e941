import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQSession;

/** Acknowledge modes, and what a broker gives again. */
final class Acks {
    private Acks() {}

    /** Redelivers at once, so that cases do not wait. */
    static final String QUICK = "jms.redeliveryPolicy.initialRedeliveryDelay=0&jms.redeliveryPolicy.redeliveryDelay=0";

    static void cases(Runner r) {
        r.add("acks.auto.receive", c -> consumed(c, Session.AUTO_ACKNOWLEDGE));
        r.add("acks.dups-ok.receive", c -> consumed(c, Session.DUPS_OK_ACKNOWLEDGE));
        r.add("acks.auto.listener", c -> listener(c, Session.AUTO_ACKNOWLEDGE));
        r.add("acks.dups-ok.listener", c -> listener(c, Session.DUPS_OK_ACKNOWLEDGE));
        r.add("acks.client.last-acks-all", c -> {
            c.put(c.queue(), "a", "b", "c", "d");
            ActiveMQConnection one = c.connect();
            MessageConsumer consumer = one.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            c.take(consumer, "c").acknowledge();
            one.close();
            Check.same(List.of("d"), c.drain(c.queue()), "left over");
        });
        r.add("acks.client.without-ack-comes-again", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect();
            MessageConsumer consumer = one.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            one.close();
            MessageConsumer again = c.auto(c.connect()).createConsumer(c.queue());
            redelivered(c, again, "a", true, 2);
            redelivered(c, again, "b", true, 2);
            redelivered(c, again, "c", false, 1);
        });
        r.add("acks.client.across-consumers", c -> {
            c.put(c.queue("1"), "a");
            c.put(c.queue("2"), "b");
            ActiveMQConnection one = c.connect();
            Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            c.expect(session.createConsumer(c.queue("1")), "a");
            c.take(session.createConsumer(c.queue("2")), "b").acknowledge();
            one.close();
            Check.same(List.of(), c.drain(c.queue("1")), "left in the first queue");
            Check.same(List.of(), c.drain(c.queue("2")), "left in the second queue");
        });
        r.add("acks.client.recover", c -> recover(c, Session.CLIENT_ACKNOWLEDGE));
        r.add("acks.individual.recover", c -> recover(c, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE));
        r.add("acks.individual.only-that-one", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect();
            MessageConsumer consumer = one.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE).createConsumer(c.queue());
            c.expect(consumer, "a");
            c.take(consumer, "b").acknowledge();
            c.expect(consumer, "c");
            one.close();
            Check.same(List.of("a", "c"), c.drain(c.queue()), "left over");
        });
        r.add("acks.individual.out-of-order", c -> {
            c.put(c.queue(), Case.numbered("m", 20));
            ActiveMQConnection one = c.connect("jms.prefetchPolicy.queuePrefetch=5");
            MessageConsumer consumer = one.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE).createConsumer(c.queue());
            Message[] all = new Message[5];
            for (int round = 0; round < 4; round++) {
                for (int i = 0; i < 5; i++) all[i] = c.take(consumer, "m" + (round * 5 + i));
                for (int i = 4; i >= 0; i--) all[i].acknowledge();
            }
            one.close();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("acks.transacted.commit-acks", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect();
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            session.commit();
            c.expect(consumer, "c");
            one.close();
            Check.same(List.of("c"), c.drain(c.queue()), "left over");
        });
        r.add("acks.topic.client", c -> {
            ActiveMQConnection one = c.connect();
            Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer consumer = session.createConsumer(c.topic());
            c.put(c.topic(), "a", "b");
            c.expect(consumer, "a");
            c.take(consumer, "b").acknowledge();
            c.put(c.topic(), "c");
            c.expect(consumer, "c");
        });
        r.add("acks.closed-consumer.gives-back-in-order", c -> {
            c.put(c.queue(), Case.numbered("m", 20));
            ActiveMQConnection one = c.connect();
            Session session = c.auto(one);
            MessageConsumer first = session.createConsumer(c.queue());
            c.expect(first, "m0", "m1", "m2");
            Thread.sleep(100);
            first.close();
            MessageConsumer second = session.createConsumer(c.queue());
            for (int i = 3; i < 20; i++) redelivered(c, second, "m" + i, false, 1);
            c.nothing(second, "after the last one");
        });
        r.add("acks.closed-consumer.before-newer-ones", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect("jms.prefetchPolicy.queuePrefetch=2");
            Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer first = session.createConsumer(c.queue());
            c.expect(first, "a", "b");
            c.put(c.queue(), "d");
            one.close();
            Check.same(List.of("a", "b", "c", "d"), c.drain(c.queue()), "order afterwards");
        });
        r.add("acks.closed-consumer.goes-to-the-other", c -> {
            ActiveMQConnection one = c.connect();
            ActiveMQConnection two = c.connect();
            MessageConsumer first = one.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            c.put(c.queue(), "a", "b");
            c.expect(first, "a");
            MessageConsumer second = c.auto(two).createConsumer(c.queue());
            c.nothing(second, "while the first consumer holds them");
            one.close();
            redelivered(c, second, "a", true, 2);
            redelivered(c, second, "b", false, 1);
        });
        r.add("acks.listener-throws.comes-again", c -> {
            c.put(c.queue(), "a");
            Session session = c.auto(c.connect(QUICK));
            BlockingQueue<Integer> counts = new LinkedBlockingQueue<>();
            session.createConsumer(c.queue()).setMessageListener(m -> {
                counts.add(count(m));
                if (counts.size() < 3) throw new IllegalStateException("on purpose");
            });
            for (int i = 1; i <= 3; i++) Check.same(i, counts.poll(5, TimeUnit.SECONDS), "JMSXDeliveryCount");
            Thread.sleep(200);
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
    }

    private static int count(Message m) {
        try {
            return m.getIntProperty("JMSXDeliveryCount");
        } catch (JMSException e) {
            return -1;
        }
    }

    static void redelivered(Case c, MessageConsumer consumer, String text, boolean again, int count) throws JMSException {
        TextMessage m = (TextMessage) c.take(consumer, "message " + text);
        Check.same(text, m.getText(), "text of the next message");
        Check.same(again, m.getJMSRedelivered(), "JMSRedelivered of " + text);
        Check.same(count, m.getIntProperty("JMSXDeliveryCount"), "JMSXDeliveryCount of " + text);
    }

    private static void consumed(Case c, int mode) throws Exception {
        c.put(c.queue(), "a", "b", "c");
        ActiveMQConnection one = c.connect();
        MessageConsumer consumer = one.createSession(false, mode).createConsumer(c.queue());
        c.expect(consumer, "a", "b");
        one.close();
        Check.same(List.of("c"), c.drain(c.queue()), "left over");
    }

    private static void listener(Case c, int mode) throws Exception {
        ActiveMQConnection one = c.connect();
        BlockingQueue<String> got = new LinkedBlockingQueue<>();
        one.createSession(false, mode).createConsumer(c.queue()).setMessageListener(m -> {
            try {
                got.add(((TextMessage) m).getText());
            } catch (JMSException e) {
                got.add(e.toString());
            }
        });
        c.put(c.queue(), Case.numbered("m", 50));
        for (int i = 0; i < 50; i++) Check.same("m" + i, got.poll(5, TimeUnit.SECONDS), "message " + i);
        Thread.sleep(100);
        one.close();
        Check.same(List.of(), c.drain(c.queue()), "left over");
    }

    private static void recover(Case c, int mode) throws Exception {
        c.put(c.queue(), "a", "b", "c");
        Session session = c.connect(QUICK).createSession(false, mode);
        MessageConsumer consumer = session.createConsumer(c.queue());
        redelivered(c, consumer, "a", false, 1);
        redelivered(c, consumer, "b", false, 1);
        session.recover();
        redelivered(c, consumer, "a", true, 2);
        redelivered(c, consumer, "b", true, 2);
        Message last = c.take(consumer, "c");
        Check.same(1, last.getIntProperty("JMSXDeliveryCount"), "JMSXDeliveryCount of c");
    }
}
