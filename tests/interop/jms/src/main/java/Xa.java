import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.XASession;
import java.util.Arrays;
import java.util.List;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;
import org.apache.activemq.command.XATransactionId;

/** Two-phase transactions, driven as a transaction manager drives them. */
final class Xa {
    private Xa() {}

    static void cases(Runner r) {
        r.add("xa.two-phase.commit", c -> {
            XASession session = session(c);
            XAResource resource = session.getXAResource();
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            send(session, c.queue(), "a");
            resource.end(xid, XAResource.TMSUCCESS);
            Check.same(XAResource.XA_OK, resource.prepare(xid), "answer of prepare");
            MessageConsumer watcher = c.auto(c.connect()).createConsumer(c.queue());
            c.nothing(watcher, "before the commit");
            resource.commit(xid, false);
            c.expect(watcher, "a");
        });
        r.add("xa.one-phase.commit", c -> {
            c.put(c.queue("in"), "job");
            XASession session = session(c);
            XAResource resource = session.getXAResource();
            MessageConsumer in = session.createConsumer(c.queue("in"));
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            c.expect(in, "job");
            send(session, c.queue("out"), "done");
            resource.end(xid, XAResource.TMSUCCESS);
            resource.commit(xid, true);
            Check.same(List.of("done"), c.drain(c.queue("out")), "target");
            in.close();
            Check.same(List.of(), c.drain(c.queue("in")), "source");
        });
        r.add("xa.rollback-after-prepare", c -> {
            XASession session = session(c);
            XAResource resource = session.getXAResource();
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            send(session, c.queue(), "never");
            resource.end(xid, XAResource.TMSUCCESS);
            resource.prepare(xid);
            resource.rollback(xid);
            Check.same(List.of(), c.drain(c.queue()), "in the queue");
        });
        r.add("xa.rollback-gives-back", c -> {
            c.put(c.queue(), "a", "b");
            XASession session = session(c);
            XAResource resource = session.getXAResource();
            MessageConsumer consumer = session.createConsumer(c.queue());
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            c.expect(consumer, "a", "b");
            resource.end(xid, XAResource.TMFAIL);
            resource.rollback(xid);
            consumer.close();
            Check.same(List.of("a", "b"), c.drain(c.queue()), "in the queue");
        });
        r.add("xa.empty-prepare-is-read-only", c -> {
            XAResource resource = session(c).getXAResource();
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            resource.end(xid, XAResource.TMSUCCESS);
            Check.same(XAResource.XA_RDONLY, resource.prepare(xid), "answer of prepare");
        });
        r.add("xa.recover-lists-prepared", c -> {
            XASession session = session(c);
            XAResource resource = session.getXAResource();
            Xid xid = xid(c, 1);
            resource.start(xid, XAResource.TMNOFLAGS);
            send(session, c.queue(), "a");
            resource.end(xid, XAResource.TMSUCCESS);
            resource.prepare(xid);
            // Another connection finds the branch and finishes it.
            XAResource other = session(c).getXAResource();
            Check.that(listed(other, xid), "recover does not list the prepared branch");
            other.commit(xid, false);
            Check.that(!listed(other, xid), "recover still lists the committed branch");
            Check.same(List.of("a"), c.drain(c.queue()), "in the queue");
        });
        r.add("xa.unknown-commit-refused", c -> {
            XAResource resource = session(c).getXAResource();
            Check.fails(XAException.class, () -> resource.commit(xid(c, 9), false), "commit of an unknown branch");
        });
    }

    static XASession session(Case c) throws Exception {
        ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory(Case.address(""));
        ActiveMQConnection connection = c.fresh(new XaAsPlain(factory));
        connection.start();
        return ((ActiveMQXAConnection) connection).createXASession();
    }

    static void send(XASession session, Queue to, String text) throws Exception {
        MessageProducer producer = session.createProducer(to);
        producer.send(session.createTextMessage(text));
        producer.close();
    }

    static Xid xid(Case c, int n) {
        XATransactionId id = new XATransactionId();
        id.setFormatId(7000 + n);
        byte[] global = c.unique("xid").getBytes();
        id.setGlobalTransactionId(Arrays.copyOf(global, Math.min(64, global.length)));
        id.setBranchQualifier(new byte[] {1, (byte) n});
        return id;
    }

    static boolean listed(XAResource resource, Xid xid) throws XAException {
        return Arrays.stream(resource.recover(XAResource.TMSTARTRSCAN | XAResource.TMENDRSCAN))
            .anyMatch(x -> x.getFormatId() == xid.getFormatId() && Arrays.equals(x.getGlobalTransactionId(), xid.getGlobalTransactionId())
                && Arrays.equals(x.getBranchQualifier(), xid.getBranchQualifier()));
    }

    /** Lets a case own and close an XA connection like any other. */
    private static final class XaAsPlain extends org.apache.activemq.ActiveMQConnectionFactory {
        private final ActiveMQXAConnectionFactory xa;

        XaAsPlain(ActiveMQXAConnectionFactory xa) {
            this.xa = xa;
        }

        @Override
        public jakarta.jms.Connection createConnection() throws jakarta.jms.JMSException {
            return xa.createXAConnection();
        }
    }
}
