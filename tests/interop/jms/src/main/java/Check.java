import java.util.Arrays;
import java.util.Objects;

/** Assertions with short texts. */
final class Check {
    private Check() {}

    interface Act {
        void run() throws Exception;
    }

    static void that(boolean ok, String what) {
        if (!ok) throw new AssertionError(what);
    }

    static void same(Object want, Object got, String what) {
        boolean equal = want instanceof byte[] a && got instanceof byte[] b ? Arrays.equals(a, b) : Objects.equals(want, got);
        if (!equal) throw new AssertionError(what + ": wanted " + cut(want) + ", got " + cut(got));
    }

    static <T> T present(T value, String what) {
        if (value == null) throw new AssertionError(what + ": nothing came");
        return value;
    }

    static void absent(Object value, String what) {
        if (value != null) throw new AssertionError(what + ": unexpected " + cut(value));
    }

    static <E extends Throwable> E fails(Class<E> type, Act act, String what) {
        try {
            act.run();
        } catch (Throwable t) {
            if (type.isInstance(t)) return type.cast(t);
            throw new AssertionError(what + ": wanted " + type.getSimpleName() + ", got " + text(t), t);
        }
        throw new AssertionError(what + ": did not fail");
    }

    static String text(Throwable t) {
        String message = String.valueOf(t.getMessage()).replace('\n', ' ');
        return cut(t instanceof AssertionError ? message : t.getClass().getSimpleName() + ": " + message);
    }

    private static String cut(Object value) {
        String s = value instanceof byte[] b ? "byte[" + b.length + "]" : String.valueOf(value).replaceAll("\\p{Cntrl}", "?");
        return s.length() > 300 ? s.substring(0, 300) + "…" : s;
    }
}
