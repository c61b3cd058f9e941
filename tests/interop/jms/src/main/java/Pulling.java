import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.activemq.ActiveMQConnection;

/** Consumers with prefetch 0 ask for each message. */
final class Pulling {
    private Pulling() {}

    static final String ZERO = "jms.prefetchPolicy.all=0";

    static void cases(Runner r) {
        r.add("pull.receive", c -> {
            MessageConsumer consumer = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            CompletableFuture<String> got = CompletableFuture.supplyAsync(() -> {
                try {
                    return ((jakarta.jms.TextMessage) consumer.receive()).getText();
                } catch (Exception e) {
                    return e.toString();
                }
            });
            Thread.sleep(300);
            Check.that(!got.isDone(), "receive() came back without a message");
            c.put(c.queue(), "a", "b");
            Check.same("a", got.get(5, TimeUnit.SECONDS), "received");
            c.expect(consumer, "b");
        });
        r.add("pull.receive-timeout", c -> {
            MessageConsumer consumer = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            long start = System.nanoTime();
            Check.absent(consumer.receive(300), "message");
            long took = (System.nanoTime() - start) / 1_000_000;
            Check.that(took >= 250, "receive(300) took " + took + " ms");
            c.put(c.queue(), "a");
            c.expect(consumer, "a");
            Check.absent(consumer.receive(100), "message");
        });
        r.add("pull.receive-no-wait", c -> {
            MessageConsumer consumer = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            Check.absent(consumer.receiveNoWait(), "message");
            c.put(c.queue(), "a", "b");
            Check.present(consumer.receiveNoWait(), "first receiveNoWait");
            Check.present(consumer.receiveNoWait(), "second receiveNoWait");
            Check.absent(consumer.receiveNoWait(), "third message");
        });
        r.add("pull.takes-only-one", c -> {
            c.put(c.queue(), "a", "b", "c");
            MessageConsumer first = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            c.expect(first, "a");
            Check.same(List.of("b", "c"), c.drain(c.queue()), "for another consumer");
        });
        r.add("pull.timed-out-pull-takes-nothing", c -> {
            MessageConsumer first = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            Check.absent(first.receive(200), "message");
            c.put(c.queue(), "a");
            Check.same(List.of("a"), c.drain(c.queue()), "for another consumer");
        });
        r.add("pull.transacted", c -> {
            c.put(c.queue(), "a", "b");
            Session session = c.transacted(c.connect(ZERO + "&" + Acks.QUICK));
            MessageConsumer consumer = session.createConsumer(c.queue());
            c.expect(consumer, "a");
            session.rollback();
            Acks.redelivered(c, consumer, "a", true, 2);
            c.expect(consumer, "b");
            session.commit();
            Check.absent(consumer.receiveNoWait(), "message");
        });
        r.add("pull.client-ack-several", c -> {
            c.put(c.queue(), "a", "b", "c");
            ActiveMQConnection one = c.connect(ZERO);
            MessageConsumer consumer = one.createSession(false, Session.CLIENT_ACKNOWLEDGE).createConsumer(c.queue());
            c.expect(consumer, "a", "b");
            c.take(consumer, "c").acknowledge();
            one.close();
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
        r.add("pull.selector", c -> {
            ActiveMQConnection one = c.connect(ZERO);
            Session session = c.auto(one);
            MessageConsumer consumer = session.createConsumer(c.queue(), "n = 1");
            c.put(c.queue(), "no");
            Check.absent(consumer.receive(200), "message");
            var m = session.createTextMessage("yes");
            m.setIntProperty("n", 1);
            session.createProducer(c.queue()).send(m);
            c.expect(consumer, "yes");
        });
        r.add("pull.two-consumers", c -> {
            MessageConsumer first = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            MessageConsumer second = c.auto(c.connect(ZERO)).createConsumer(c.queue());
            c.put(c.queue(), Case.numbered("m", 10));
            for (int i = 0; i < 10; i += 2) {
                c.expect(first, "m" + i);
                c.expect(second, "m" + (i + 1));
            }
        });
        r.add("pull.durable", c -> {
            ActiveMQConnection one = c.connectAs(c.unique("id"), ZERO);
            MessageConsumer consumer = c.auto(one).createDurableSubscriber(c.topic(), "sub");
            c.put(c.topic(), "a", "b");
            c.expect(consumer, "a", "b");
            Check.absent(consumer.receive(200), "message");
        });
    }
}
