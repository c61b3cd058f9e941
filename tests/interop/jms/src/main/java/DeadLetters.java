import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQQueue;

/** What lands in ActiveMQ.DLQ, and with which marks. Each case picks its own letters with a selector. */
final class DeadLetters {
    private DeadLetters() {}

    static final Queue DLQ = new ActiveMQQueue("ActiveMQ.DLQ");

    static void cases(Runner r) {
        r.add("dlq.rollback-limit", c -> {
            ActiveMQConnection one = c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=2");
            mark(c, c.auto(one), c.queue(), DeliveryMode.PERSISTENT, 0);
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createConsumer(c.queue());
            for (int i = 1; i <= 3; i++) {
                Message m = c.take(consumer, "delivery " + i);
                Check.same(i, m.getIntProperty("JMSXDeliveryCount"), "JMSXDeliveryCount");
                Check.same(i > 1, m.getJMSRedelivered(), "JMSRedelivered");
                session.rollback();
            }
            c.nothing(consumer, "after the limit");
            ActiveMQMessage dead = letter(c);
            cause(dead, "exceeds redelivery policy limit");
            Check.same(c.queue(), dead.getOriginalDestination(), "originalDestination");
            Check.same(DLQ, dead.getJMSDestination(), "JMSDestination");
        });
        r.add("dlq.recover-limit", c -> {
            ActiveMQConnection one = c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=1");
            mark(c, c.auto(one), c.queue(), DeliveryMode.PERSISTENT, 0);
            Session session = one.createSession(false, Session.CLIENT_ACKNOWLEDGE);
            MessageConsumer consumer = session.createConsumer(c.queue());
            for (int i = 1; i <= 2; i++) {
                c.take(consumer, "delivery " + i);
                session.recover();
            }
            c.nothing(consumer, "after the limit");
            cause(letter(c), "exceeds redelivery policy limit");
        });
        r.add("dlq.listener-throws", c -> {
            ActiveMQConnection one = c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=1");
            c.auto(one).createConsumer(c.queue()).setMessageListener(m -> {
                throw new IllegalStateException("on purpose");
            });
            mark(c, c.auto(one), c.queue(), DeliveryMode.PERSISTENT, 0);
            cause(letter(c), "on purpose");
        });
        r.add("dlq.order-of-the-rest", c -> {
            c.put(c.queue(), "bad", "m1", "m2");
            Session session = c.transacted(c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=0"));
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "bad");
            session.rollback();
            c.expect(consumer, "m1", "m2");
            session.commit();
        });
        r.add("dlq.non-persistent-rollback-not-kept", c -> {
            ActiveMQConnection one = c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=0");
            mark(c, c.auto(one), c.queue(), DeliveryMode.NON_PERSISTENT, 0);
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.take(consumer, "the message");
            session.rollback();
            c.nothing(consumer, "after the limit");
            c.nothing(c.auto(c.connect()).createConsumer(DLQ, mine(c)), "non-persistent dead letter");
        });
        r.add("dlq.expired-persistent", c -> {
            ActiveMQConnection one = c.connect();
            long expiration = mark(c, c.auto(one), c.queue(), DeliveryMode.PERSISTENT, 150);
            Thread.sleep(400);
            c.nothing(c.auto(one).createConsumer(c.queue()), "an expired message");
            ActiveMQMessage dead = letter(c);
            cause(dead, "xpired");
            Check.same(0L, dead.getJMSExpiration(), "JMSExpiration of the dead letter");
            Check.same(String.valueOf(expiration), String.valueOf(dead.getObjectProperty("originalExpiration")), "originalExpiration");
            Check.same(c.queue(), dead.getOriginalDestination(), "originalDestination");
        });
        r.add("dlq.expired-non-persistent-not-kept", c -> {
            ActiveMQConnection one = c.connect();
            mark(c, c.auto(one), c.queue(), DeliveryMode.NON_PERSISTENT, 150);
            Thread.sleep(400);
            c.nothing(c.auto(one).createConsumer(c.queue()), "an expired message");
            c.nothing(c.auto(one).createConsumer(DLQ, mine(c)), "an expired non-persistent message");
        });
        r.add("dlq.topic-consumer-not-kept", c -> {
            ActiveMQConnection one = c.connect(Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=0");
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createConsumer(c.topic());
            mark(c, c.auto(one), c.topic(), DeliveryMode.PERSISTENT, 0);
            c.take(consumer, "the message");
            session.rollback();
            c.nothing(consumer, "after the limit");
            c.nothing(c.auto(c.connect()).createConsumer(DLQ, mine(c)), "dead letter of a plain topic consumer");
        });
        r.add("dlq.durable-subscriber", c -> {
            Topic topic = c.topic();
            ActiveMQConnection one = c.connectAs(c.unique("id"), Acks.QUICK + "&jms.redeliveryPolicy.maximumRedeliveries=0");
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createDurableSubscriber(topic, "sub");
            mark(c, c.auto(one), topic, DeliveryMode.PERSISTENT, 0);
            c.take(consumer, "the message");
            session.rollback();
            c.nothing(consumer, "after the limit");
            ActiveMQMessage dead = letter(c);
            cause(dead, "exceeds redelivery policy limit");
            Check.same(topic, dead.getOriginalDestination(), "originalDestination");
        });
    }

    private static String mine(Case c) {
        return "mark = '" + c.unique("") + "'";
    }

    private static long mark(Case c, Session session, jakarta.jms.Destination to, int mode, long ttl) throws Exception {
        MessageProducer producer = session.createProducer(to);
        TextMessage m = session.createTextMessage("dead " + Messages.ODD);
        m.setStringProperty("mark", c.unique(""));
        producer.send(m, mode, 4, ttl);
        producer.close();
        return m.getJMSExpiration();
    }

    private static ActiveMQMessage letter(Case c) throws Exception {
        MessageConsumer consumer = c.auto(c.connect()).createConsumer(DLQ, mine(c));
        ActiveMQMessage dead = (ActiveMQMessage) c.take(consumer, "the dead letter");
        Check.same("dead " + Messages.ODD, ((TextMessage) dead).getText(), "text of the dead letter");
        Check.same(DeliveryMode.PERSISTENT, dead.getJMSDeliveryMode(), "JMSDeliveryMode of the dead letter");
        return dead;
    }

    private static void cause(Message dead, String part) throws Exception {
        String cause = dead.getStringProperty("dlqDeliveryFailureCause");
        Check.that(cause != null && cause.contains(part), "dlqDeliveryFailureCause is " + cause + ", wanted …" + part + "…");
    }
}
