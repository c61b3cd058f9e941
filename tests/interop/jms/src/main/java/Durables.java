import jakarta.jms.InvalidClientIDException;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import org.apache.activemq.ActiveMQConnection;

/** Durable topic subscriptions and client ids. */
final class Durables {
    private Durables() {}

    static void cases(Runner r) {
        r.add("durable.backlog", c -> {
            subscribe(c, null);
            c.put(c.topic(), "a", "b", "c");
            ActiveMQConnection one = me(c);
            MessageConsumer consumer = c.auto(one).createDurableSubscriber(c.topic(), "sub");
            c.expect(consumer, "a", "b");
            one.close();
            c.put(c.topic(), "d");
            consumer = c.auto(me(c)).createDurableSubscriber(c.topic(), "sub");
            c.expect(consumer, "c", "d");
            c.nothing(consumer, "after the last one");
        });
        r.add("durable.backlog-beyond-prefetch", c -> {
            subscribe(c, null);
            c.put(c.topic(), Case.numbered("m", 350));
            ActiveMQConnection one = me(c);
            c.expect(c.auto(one).createDurableSubscriber(c.topic(), "sub"), Case.numbered("m", 350));
        });
        r.add("durable.live-and-back-in-one-connection", c -> {
            ActiveMQConnection one = me(c);
            Session session = c.auto(one);
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub");
            c.put(c.topic(), "a");
            c.expect(consumer, "a");
            consumer.close();
            c.put(c.topic(), "b");
            c.expect(session.createDurableSubscriber(c.topic(), "sub"), "b");
        });
        r.add("durable.two-names-are-two-subscriptions", c -> {
            ActiveMQConnection one = me(c);
            Session session = c.auto(one);
            MessageConsumer a = session.createDurableSubscriber(c.topic(), "a");
            MessageConsumer b = session.createDurableSubscriber(c.topic(), "b");
            c.put(c.topic(), "x", "y");
            c.expect(a, "x", "y");
            c.expect(b, "x", "y");
        });
        r.add("durable.client-ack-unacked-comes-again", c -> {
            subscribe(c, null);
            c.put(c.topic(), "a", "b", "c");
            ActiveMQConnection one = me(c);
            Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub");
            c.take(consumer, "a").acknowledge();
            c.expect(consumer, "b");
            one.close();
            consumer = c.auto(me(c)).createDurableSubscriber(c.topic(), "sub");
            TextMessage again = (TextMessage) c.take(consumer, "b");
            Check.same("b", again.getText(), "text");
            Check.same(true, again.getJMSRedelivered(), "JMSRedelivered");
            c.expect(consumer, "c");
        });
        r.add("durable.selector", c -> {
            subscribe(c, "n > 2");
            numbers(c, 5);
            MessageConsumer consumer = c.auto(me(c)).createDurableSubscriber(c.topic(), "sub", "n > 2", false);
            c.expect(consumer, "3", "4");
            c.nothing(consumer, "not selected");
        });
        r.add("durable.changed-selector-starts-anew", c -> {
            subscribe(c, "n > 2");
            numbers(c, 5);
            MessageConsumer consumer = c.auto(me(c)).createDurableSubscriber(c.topic(), "sub", "n < 2", false);
            c.nothing(consumer, "from before the change");
            numbers(c, 5);
            c.expect(consumer, "0", "1");
            c.nothing(consumer, "not selected");
        });
        r.add("durable.no-local", c -> {
            ActiveMQConnection one = me(c);
            Session session = c.auto(one);
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub", null, true);
            Case.send(session, c.topic(), "mine");
            c.put(c.topic(), "other");
            c.expect(consumer, "other");
            c.nothing(consumer, "own message");
        });
        r.add("durable.unsubscribe", c -> {
            subscribe(c, null);
            c.put(c.topic(), "a");
            ActiveMQConnection one = me(c);
            Session session = c.auto(one);
            session.unsubscribe("sub");
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub");
            c.nothing(consumer, "after unsubscribe");
            c.put(c.topic(), "b");
            c.expect(consumer, "b");
        });
        r.add("durable.unsubscribe-active-refused", c -> {
            Session session = c.auto(me(c));
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub");
            Check.fails(JMSException.class, () -> session.unsubscribe("sub"), "unsubscribe while active");
            c.put(c.topic(), "a");
            c.expect(consumer, "a");
            consumer.close();
            session.unsubscribe("sub");
        });
        r.add("durable.unsubscribe-unknown-refused", c -> {
            Session session = c.auto(me(c));
            Check.fails(InvalidDestinationException.class, () -> session.unsubscribe("never"), "unknown subscription");
        });
        r.add("durable.two-active-refused", c -> {
            ActiveMQConnection one = me(c);
            MessageConsumer first = c.auto(one).createDurableSubscriber(c.topic(), "sub");
            JMSException e = Check.fails(JMSException.class, () -> c.auto(one).createDurableSubscriber(c.topic(), "sub"), "second one");
            Check.that(e.getMessage().contains("Durable consumer is in use"), "other reason: " + e.getMessage());
            c.put(c.topic(), "a");
            c.expect(first, "a");
        });
        r.add("durable.without-client-id-refused", c -> {
            // The client makes an id up for a connection without one, and then refuses durable use of it.
            ActiveMQConnection one = c.connect();
            Check.fails(JMSException.class, () -> c.auto(one).createDurableSubscriber(c.topic(), "sub"), "no client id");
        });
        r.add("durable.wildcard-topic", c -> {
            ActiveMQConnection one = me(c);
            c.auto(one).createDurableSubscriber(c.topic("*.news"), "sub").close();
            one.close();
            c.put(c.topic("x.news"), "a");
            c.put(c.topic("y.news"), "b");
            c.put(c.topic("y.other"), "no");
            MessageConsumer consumer = c.auto(me(c)).createDurableSubscriber(c.topic("*.news"), "sub");
            c.expect(consumer, "a", "b");
            c.nothing(consumer, "not matched");
        });
        r.add("clientid.twice-refused", c -> {
            c.connectAs(c.unique("id"), "").start();
            ActiveMQConnection second = c.fresh(Case.factory(""));
            Check.fails(InvalidClientIDException.class, () -> second.setClientID(c.unique("id")), "same client id");
        });
        r.add("clientid.free-after-close", c -> {
            for (int i = 0; i < 3; i++) me(c).close();
            ActiveMQConnection one = me(c);
            Case.send(c.auto(one), c.queue(), "a");
        });
        r.add("clientid.first-stays-after-refusal", c -> {
            ActiveMQConnection one = me(c);
            MessageConsumer consumer = c.auto(one).createConsumer(c.queue());
            ActiveMQConnection second = c.fresh(Case.factory(""));
            Check.fails(InvalidClientIDException.class, () -> second.setClientID(c.unique("id")), "same client id");
            second.close();
            c.put(c.queue(), "a");
            c.expect(consumer, "a");
        });
    }

    private static ActiveMQConnection me(Case c) throws JMSException {
        return c.connectAs(c.unique("id"), "");
    }

    private static void subscribe(Case c, String selector) throws JMSException {
        ActiveMQConnection one = me(c);
        c.auto(one).createDurableSubscriber(c.topic(), "sub", selector, false);
        one.close();
    }

    private static void numbers(Case c, int count) throws JMSException {
        ActiveMQConnection one = c.connect();
        Session session = c.auto(one);
        MessageProducer producer = session.createProducer(c.topic());
        for (int i = 0; i < count; i++) {
            TextMessage m = session.createTextMessage(String.valueOf(i));
            m.setIntProperty("n", i);
            producer.send(m);
        }
        one.close();
    }
}
