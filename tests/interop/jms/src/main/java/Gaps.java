import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * How long producers stand still when something is killed under them. For each kill, of each producer and of all together: the
 * longest time between two confirmed sends that ended after the kill and before the next one; and from the kill to the end of the
 * longest one that had begun by then. Times are microseconds.
 */
final class Gaps {
    /** What the dead have confirmed may be read so long after the kill. */
    private static final long LEFT_OVER = 50_000;

    /** Of something, at a time. */
    private static final class Kill {
        private final String what;
        private final long at;
        private final long[] longest;
        private final long[] straddling;
        private final long[] ended;

        private Kill(String what, long at, int whos) {
            this.what = what;
            this.at = at;
            longest = new long[whos];
            straddling = new long[whos];
            ended = new long[whos];
        }

        private void note(int who, long from, long to) {
            longest[who] = Math.max(longest[who], to - from);
            if (from <= at + LEFT_OVER && to - from > straddling[who]) {
                straddling[who] = to - from;
                ended[who] = to;
            }
        }
    }

    private final List<Kill> kills = new ArrayList<>();
    /** When each producer was confirmed something last; behind them all together. */
    private final long[] last;

    Gaps(int producers) {
        last = new long[producers + 1];
        Arrays.fill(last, -1);
    }

    synchronized void killed(String what, long at) {
        kills.add(new Kill(what, at, last.length));
    }

    synchronized void confirmed(int producer, long now) {
        note(producer, now);
        note(last.length - 1, now);
    }

    private void note(int who, long now) {
        Kill kill = kills.isEmpty() ? null : kills.get(kills.size() - 1);
        if (kill != null && last[who] >= 0 && now > kill.at) kill.note(who, last[who], now);
        last[who] = now;
    }

    /** Whether each producer was confirmed something after this time. */
    synchronized boolean allSince(long at) {
        for (int p = 0; p < last.length - 1; p++) if (last[p] <= at) return false;
        return true;
    }

    synchronized List<String> report() {
        List<String> rows = new ArrayList<>();
        for (String what : kills.stream().map(kill -> kill.what).distinct().toList()) {
            List<Long> each = new ArrayList<>();
            List<Long> since = new ArrayList<>();
            List<Long> all = new ArrayList<>();
            for (Kill kill : kills) {
                if (!kill.what.equals(what)) continue;
                for (int who = 0; who < last.length; who++) {
                    if (kill.longest[who] == 0) continue;
                    if (who == last.length - 1) {
                        all.add(kill.longest[who]);
                        continue;
                    }
                    each.add(kill.longest[who]);
                    if (kill.ended[who] > 0) since.add(kill.ended[who] - kill.at);
                }
            }
            rows.add(row(what, "of a producer, between two confirmed sends", each));
            // Where the broker lives it goes on for a while before it stands still.
            if (!what.equals("database server")) rows.add(row(what, "of a producer, from the kill to its next confirmed send", since));
            rows.add(row(what, "in which nobody was confirmed anything", all));
        }
        return rows;
    }

    private static String row(String what, String which, List<Long> gaps) {
        if (gaps.isEmpty()) return "gap, " + what + ": " + which + ": none";
        long[] sorted = gaps.stream().mapToLong(Long::longValue).sorted().toArray();
        return String.format("gap, %s: %s: median %.0f ms, worst %.0f ms, of %d", what, which, sorted[sorted.length / 2] / 1e3,
            sorted[sorted.length - 1] / 1e3, sorted.length);
    }
}
