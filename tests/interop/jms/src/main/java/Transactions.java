import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.List;
import org.apache.activemq.ActiveMQConnection;

/** Local transactions: sends and receives take effect together at the commit. */
final class Transactions {
    private Transactions() {}

    static void cases(Runner r) {
        r.add("tx.commit.sends-appear-at-commit", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.transacted(c.connect());
            Case.send(session, c.queue(), "a", "b", "c");
            c.nothing(watcher, "before the commit");
            session.commit();
            c.expect(watcher, "a", "b", "c");
        });
        r.add("tx.commit.non-persistent", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.transacted(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            for (int i = 0; i < 5; i++) producer.send(session.createTextMessage("m" + i));
            c.nothing(watcher, "before the commit");
            session.commit();
            c.expect(watcher, Case.numbered("m", 5));
        });
        r.add("tx.commit.topic", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(c.topic());
            Session session = c.transacted(c.connect());
            Case.send(session, c.topic(), "a", "b");
            c.nothing(watcher, "before the commit");
            session.commit();
            c.expect(watcher, "a", "b");
        });
        r.add("tx.rollback.sends-vanish", c -> {
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(c.queue());
            Session session = c.transacted(c.connect());
            Case.send(session, c.queue(), "never");
            session.rollback();
            Case.send(session, c.queue(), "kept");
            session.commit();
            c.expect(watcher, "kept");
            c.nothing(watcher, "after the kept one");
        });
        r.add("tx.rollback.receives-come-again", c -> {
            c.put(c.queue(), "a", "b", "c");
            Session session = c.transacted(c.connect(Acks.QUICK));
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            session.rollback();
            Acks.redelivered(c, consumer, "a", true, 2);
            Acks.redelivered(c, consumer, "b", true, 2);
            Acks.redelivered(c, consumer, "c", false, 1);
            session.commit();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("tx.rollback.other-connection-gets-them", c -> {
            c.put(c.queue(), "a", "b");
            ActiveMQConnection one = c.connect();
            Session session = c.transacted(one);
            c.expect(session.createConsumer(c.queue()), "a");
            session.rollback();
            one.close();
            MessageConsumer other = c.auto(c.connect()).createConsumer(c.queue());
            Acks.redelivered(c, other, "a", true, 2);
            c.expect(other, "b");
        });
        r.add("tx.rollback.many-rounds", c -> {
            Session session = c.transacted(c.connect(Acks.QUICK));
            Case.send(session, c.queue(), Case.numbered("m", 10));
            session.commit();
            MessageConsumer consumer = session.createConsumer(c.queue());
            for (int round = 1; round <= 5; round++) {
                for (int i = 0; i < 10; i++) Acks.redelivered(c, consumer, "m" + i, round > 1, round);
                session.rollback();
            }
            c.expect(consumer, Case.numbered("m", 10));
            session.commit();
            c.nothing(consumer, "after the commit");
        });
        r.add("tx.several-queues", c -> {
            c.put(c.queue("in"), "job");
            Session session = c.transacted(c.connect(Acks.QUICK));
            MessageConsumer in = session.createConsumer(c.queue("in"));
            c.expect(in, "job");
            Case.send(session, c.queue("out1"), "one");
            Case.send(session, c.queue("out2"), "two");
            session.rollback();
            c.expect(in, "job");
            Case.send(session, c.queue("out1"), "uno");
            Case.send(session, c.queue("out2"), "due");
            Case.send(session, c.topic(), "tre");
            session.commit();
            Check.same(List.of(), c.drain(c.queue("in")), "left in the first queue");
            Check.same(List.of("uno"), c.drain(c.queue("out1")), "first target");
            Check.same(List.of("due"), c.drain(c.queue("out2")), "second target");
        });
        r.add("tx.close-without-commit.sends", c -> {
            ActiveMQConnection one = c.connect();
            Session session = c.transacted(one);
            Case.send(session, c.queue(), "never");
            session.close();
            Session again = c.transacted(one);
            Case.send(again, c.queue(), "never either");
            one.close();
            Check.same(List.of(), c.drain(c.queue()), "in the queue");
        });
        r.add("tx.close-without-commit.receives", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect();
            Session session = c.transacted(one);
            c.expect(session.createConsumer(c.queue()), "a", "b");
            session.close();
            MessageConsumer again = c.auto(c.connect()).createConsumer(c.queue());
            Acks.redelivered(c, again, "a", true, 2);
            Acks.redelivered(c, again, "b", true, 2);
            Acks.redelivered(c, again, "c", false, 1);
        });
        r.add("tx.consumer-closed-before-commit", c -> {
            c.put(c.queue(), "a", "b", "c");
            Session session = c.transacted(c.connect());
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            consumer.close();
            session.commit();
            Check.same(List.of("c"), c.drain(c.queue()), "left over");
        });
        r.add("tx.consumer-closed-before-rollback", c -> {
            c.put(c.queue(), "a", "b", "c");
            Session session = c.transacted(c.connect(Acks.QUICK));
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            consumer.close();
            session.rollback();
            Check.same(List.of("a", "b", "c"), c.drain(c.queue()), "left over");
        });
        r.add("tx.prefetch-1.ten-in-one", c -> {
            c.put(c.queue(), Case.numbered("m", 10));
            Session session = c.transacted(c.connect("jms.prefetchPolicy.queuePrefetch=1"));
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, Case.numbered("m", 10));
            session.commit();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("tx.large-one", c -> {
            Session session = c.transacted(c.connect());
            MessageConsumer consumer = session.createConsumer(c.queue());
            String pad = "p".repeat(1000);
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 2000; i++) producer.send(session.createTextMessage(i + pad));
            session.commit();
            for (int i = 0; i < 2000; i++) Check.same(i + pad, ((TextMessage) c.take(consumer, "message " + i)).getText(), "text");
            session.commit();
            c.nothing(consumer, "after the last one");
        });
        r.add("tx.interleaved-sessions", c -> {
            ActiveMQConnection one = c.connect();
            Session a = c.transacted(one);
            Session b = c.transacted(one);
            Case.send(a, c.queue(), "a1");
            Case.send(b, c.queue(), "b1");
            Case.send(a, c.queue(), "a2");
            b.commit();
            a.rollback();
            Case.send(a, c.queue(), "a3");
            a.commit();
            Check.same(List.of("b1", "a3"), c.drain(c.queue()), "in the queue");
        });
        r.add("tx.durable-subscriber", c -> {
            ActiveMQConnection one = c.connectAs(c.unique("id"), Acks.QUICK);
            Session session = c.transacted(one);
            MessageConsumer consumer = session.createDurableSubscriber(c.topic(), "sub");
            c.put(c.topic(), "a", "b");
            c.expect(consumer, "a", "b");
            session.rollback();
            Acks.redelivered(c, consumer, "a", true, 2);
            session.commit();
            one.close();
            one = c.connectAs(c.unique("id"), "");
            consumer = c.auto(one).createDurableSubscriber(c.topic(), "sub");
            c.expect(consumer, "b");
            c.nothing(consumer, "after the last one");
        });
        r.add("tx.expiry-and-headers-survive", c -> {
            Session session = c.transacted(c.connect());
            MessageProducer producer = session.createProducer(c.queue());
            TextMessage m = session.createTextMessage("x");
            m.setIntProperty("n", 5);
            producer.send(m, DeliveryMode.PERSISTENT, 8, 30000);
            session.commit();
            Message got = c.take(session.createConsumer(c.queue(), "n = 5"), "the message");
            Check.same(8, got.getJMSPriority(), "JMSPriority");
            Check.same(m.getJMSExpiration(), got.getJMSExpiration(), "JMSExpiration");
            session.commit();
        });
    }
}
