import org.apache.activemq.broker.BrokerFactory;
import org.apache.activemq.broker.BrokerService;

/** Starts the broker of the XML file named by the first argument and prints READY when it listens. */
public class ActiveMQ {
    public static void main(String[] args) throws Exception {
        BrokerService broker = BrokerFactory.createBroker("xbean:file:" + args[0]);
        broker.start();
        broker.waitUntilStarted();
        System.out.println("READY");
        broker.waitUntilStopped();
    }
}
