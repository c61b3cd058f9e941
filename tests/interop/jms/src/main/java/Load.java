import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.activemq.ActiveMQConnection;

/** Many at once: nothing lost, nothing twice, order per producer. */
final class Load {
    private Load() {}

    static void cases(Runner r) {
        r.add("load.10x10.auto", c -> many(c, 10, 10, 200, Session.AUTO_ACKNOWLEDGE));
        r.add("load.10x10.transacted", c -> many(c, 10, 10, 100, Session.SESSION_TRANSACTED));
        r.add("load.order-per-producer", c -> many(c, 10, 1, 200, Session.AUTO_ACKNOWLEDGE));
        r.add("load.async-sends-in-order", c -> {
            ActiveMQConnection one = c.connect("jms.useAsyncSend=true");
            Session session = c.auto(one);
            MessageConsumer consumer = c.auto(c.connect()).createConsumer(c.queue());
            MessageProducer producer = session.createProducer(c.queue());
            for (int i = 0; i < 3000; i++) producer.send(session.createTextMessage("m" + i));
            c.expect(consumer, Case.numbered("m", 3000));
        });
        r.add("load.consumers-come-and-go", c -> {
            c.put(c.queue(), Case.numbered("m", 300));
            Map<String, Integer> seen = new ConcurrentHashMap<>();
            ExecutorService pool = Executors.newFixedThreadPool(4);
            List<Future<?>> work = new ArrayList<>();
            for (int t = 0; t < 4; t++)
                work.add(pool.submit(() -> {
                    while (seen.size() < 300) {
                        ActiveMQConnection one = c.connect();
                        MessageConsumer consumer = c.auto(one).createConsumer(c.queue());
                        for (int i = 0; i < 15; i++) {
                            TextMessage m = (TextMessage) consumer.receive(50);
                            if (m == null) break;
                            seen.merge(m.getText(), 1, Integer::sum);
                        }
                        one.close();
                    }
                    return null;
                }));
            pool.shutdown();
            c.step("waiting for the consumers");
            for (Future<?> f : work) f.get(25, TimeUnit.SECONDS);
            seen.forEach((text, count) -> Check.same(1, count, "deliveries of " + text));
            Check.same(List.of(), c.drain(c.queue()), "left over");
        });
    }

    private static void many(Case c, int producers, int consumers, int each, int mode) throws Exception {
        Map<String, Integer> seen = new ConcurrentHashMap<>();
        Map<String, String> faults = new ConcurrentHashMap<>();
        CountDownLatch left = new CountDownLatch(producers * each);
        for (int i = 0; i < consumers; i++) {
            int[] next = new int[producers];
            Session session = c.connect().createSession(mode == Session.SESSION_TRANSACTED, mode);
            session.createConsumer(c.queue()).setMessageListener(m -> {
                try {
                    String text = ((TextMessage) m).getText();
                    int producer = m.getIntProperty("producer");
                    int number = m.getIntProperty("number");
                    if (consumers == 1 && number != next[producer]) faults.put("order", text + " instead of " + next[producer]);
                    // With several consumers each one still sees a producer's messages in rising order.
                    if (number < next[producer]) faults.put("order", text + " after " + next[producer]);
                    next[producer] = number + 1;
                    if (seen.merge(text, 1, Integer::sum) > 1) faults.put("twice", text);
                    if (session.getTransacted()) session.commit();
                    left.countDown();
                } catch (JMSException e) {
                    faults.put("consumer", e.toString());
                }
            });
        }
        ExecutorService pool = Executors.newFixedThreadPool(producers);
        for (int p = 0; p < producers; p++) {
            int producer = p;
            pool.submit(() -> {
                try {
                    Session session = c.auto(c.connect());
                    MessageProducer to = session.createProducer(c.queue());
                    for (int i = 0; i < each; i++) {
                        TextMessage m = session.createTextMessage(producer + "/" + i);
                        m.setIntProperty("producer", producer);
                        m.setIntProperty("number", i);
                        to.send(m);
                    }
                } catch (JMSException e) {
                    faults.put("producer " + producer, e.toString());
                }
            });
        }
        pool.shutdown();
        boolean all = left.await(25, TimeUnit.SECONDS);
        Check.same(Map.of(), faults, "faults");
        Check.that(all, left.getCount() + " of " + producers * each + " did not come");
        Check.same(List.of(), c.drain(c.queue()), "left over");
    }
}
