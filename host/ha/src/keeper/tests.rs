//! The keeper in virtual time, step by step.

use super::*;
use crate::{Holder, Standing};

const CONFIG: Config = Config { keep_alive_ms: 1_000, retry_ms: 10_000, fail_if_locked: false, late_ms_max: None };

fn held() -> HeldBy {
    HeldBy { holder: Some(Holder { broker: "a".into(), ..Holder::default() }), foreign: None }
}

fn trouble() -> LockError {
    LockError::Io { attempt: "open", place: "lock".into(), cause: "no answer".into() }
}

/// A keeper and its fence.
struct Bench {
    keeper: Keeper,
    fence: Arc<Fence>,
}

impl Bench {
    fn new(config: Config) -> Bench {
        let fence = Arc::new(Fence::new());
        Bench { keeper: Keeper::new(config, fence.clone(), 0), fence }
    }

    /// One that is master since `now`, with nothing under way.
    fn master(now: i64) -> Bench {
        Bench::master_with(CONFIG, now)
    }

    fn master_with(config: Config, now: i64) -> Bench {
        let mut bench = Bench::new(config);
        bench.expect(now, &[Action::Try]);
        bench.keeper.tried(now, Ok(Attempt::Taken(Former::Gone)));
        bench.expect(now, &[Action::Claim { epoch: None }]);
        bench.keeper.claimed(now, Ok(()));
        bench.expect(now, &[Action::Check]);
        bench.keeper.checked(now, Checked::Ours);
        bench.expect(now, &[Action::Recover]);
        bench.keeper.recovered(now, 7);
        bench.expect(now, &[Action::Claim { epoch: Some(7) }]);
        bench.keeper.claimed(now, Ok(()));
        bench.expect(now, &[]);
        bench
    }

    #[track_caller]
    fn expect(&mut self, now: i64, expected: &[Action]) {
        let actions: Vec<Action> = std::iter::from_fn(|| self.keeper.poll_action(now)).collect();
        assert_eq!(actions, expected);
    }

    fn standing(&self, now: i64) -> Standing {
        self.fence.standing(now)
    }
}

/// A lock that nobody had is had at once, without any wait; and it is proven from then on.
#[test]
fn a_free_lock_is_had_at_once() {
    let mut bench = Bench::master(5);
    assert_eq!(bench.keeper.state(), &State::Active { epoch: 7 });
    assert_eq!((bench.standing(2_004), bench.standing(2_005)), (Standing::Open, Standing::Doubt));
    assert_eq!(bench.keeper.poll_timeout(), Some(1_005));
    bench.expect(1_005, &[Action::Check]);
    bench.keeper.checked(1_300, Checked::Ours);
    assert_eq!((bench.standing(3_004), bench.standing(3_005)), (Standing::Open, Standing::Doubt), "from its beginning");
}

/// A standby says once whom it waits for, tries again after its interval, and at once when it is woken.
#[test]
fn a_standby_waits_and_says_for_whom() {
    let mut bench = Bench::new(CONFIG);
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Ok(Attempt::Held(held())));
    bench.expect(0, &[Action::Waiting(held())]);
    assert_eq!(bench.keeper.poll_timeout(), Some(10_000));
    bench.expect(9_999, &[]);
    bench.expect(10_000, &[Action::Try]);
    bench.keeper.tried(10_000, Ok(Attempt::Held(held())));
    bench.expect(10_000, &[]);
    bench.keeper.woken(10_001);
    bench.expect(10_001, &[Action::Try]);
    // What wakes it while it tries is not forgotten.
    bench.keeper.woken(10_002);
    bench.keeper.tried(10_003, Ok(Attempt::Held(HeldBy::default())));
    bench.expect(10_003, &[Action::Waiting(HeldBy::default()), Action::Try]);
    bench.keeper.tried(10_003, Err(trouble()));
    bench.expect(10_003, &[Action::Unanswered(trouble())]);
    assert_eq!(bench.keeper.poll_timeout(), Some(20_003));
    assert_eq!(bench.standing(20_003), Standing::Doubt);
}

/// Whoever may be alive is waited for: its window or ours, whichever is longer, and a quarter.
#[test]
fn a_former_holder_that_may_be_alive_is_waited_out() {
    for (window_ms, wait) in [(None, 2_500), (Some(500), 2_500), (Some(8_000), 10_000), (Some(i64::MAX), 750_000)] {
        let mut bench = Bench::new(CONFIG);
        bench.expect(0, &[Action::Try]);
        bench.keeper.tried(0, Ok(Attempt::Taken(Former::Unknown { why: "a test", window_ms })));
        bench.expect(0, &[Action::Claim { epoch: None }]);
        bench.keeper.claimed(40, Ok(()));
        bench.expect(40, &[Action::Settling { why: "a test", ms: wait }]);
        for now in (40..40 + wait).step_by(1_000) {
            assert!(bench.keeper.poll_timeout().is_some_and(|due| due <= now + 1_000));
            bench.expect(now, &[]);
        }
        bench.expect(40 + wait - 1, &[]);
        bench.expect(40 + wait, &[Action::Check]);
        assert_eq!(bench.standing(40 + wait), Standing::Doubt);
        bench.keeper.checked(40 + wait, Checked::Ours);
        bench.expect(40 + wait, &[Action::Recover]);
    }
}

/// A lock that goes before anything was done with it is no reason to stop.
#[test]
fn a_lock_lost_too_early_is_tried_again() {
    let mut bench = Bench::new(CONFIG);
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Ok(Attempt::Taken(Former::Gone)));
    bench.expect(0, &[Action::Claim { epoch: None }]);
    bench.keeper.claimed(0, Ok(()));
    bench.expect(0, &[Action::Check]);
    bench.keeper.checked(1, Checked::Lost(Loss::Replaced));
    bench.expect(1, &[Action::Missed(Loss::Replaced), Action::Release, Action::Try]);
    bench.keeper.tried(1, Ok(Attempt::Taken(Former::Gone)));
    bench.expect(1, &[Action::Claim { epoch: None }]);
    bench.keeper.claimed(2, Err(trouble()));
    bench.expect(2, &[Action::Unanswered(trouble()), Action::Release]);
    bench.expect(10_002, &[Action::Try]);
    assert_eq!(bench.fence.loss(), None);
}

/// A lost lock shuts the fence in the same moment, and that is the end.
#[test]
fn a_lost_lock_is_the_end() {
    let mut bench = Bench::master(0);
    bench.expect(1_000, &[Action::Check]);
    bench.keeper.checked(1_001, Checked::Lost(Loss::Deleted));
    assert_eq!(bench.standing(1_001), Standing::Shut(Loss::Deleted));
    bench.expect(1_001, &[Action::Fence(Loss::Deleted)]);
    bench.keeper.checked(1_002, Checked::Ours);
    bench.keeper.woken(1_003);
    bench.expect(99_999, &[]);
    assert_eq!((bench.keeper.state(), bench.keeper.poll_timeout()), (&State::Fenced, None));
    assert_eq!(bench.standing(1_004), Standing::Shut(Loss::Deleted));
}

/// An answer that is late closes the fence by itself, opens it again when it is a good one, and is waited for only so
/// long by a process that is awake.
#[test]
fn late_answers() {
    let mut bench = Bench::master(0);
    bench.expect(1_000, &[Action::Check]);
    for now in [2_000, 3_000, 4_000] {
        assert_eq!(bench.keeper.poll_timeout(), Some(now));
        bench.expect(now, &[]);
        assert_eq!(bench.standing(now), Standing::Doubt);
    }
    bench.keeper.checked(4_500, Checked::Ours);
    // Proven as of when the check began, which is past; the next one is due.
    bench.expect(4_500, &[Action::Doubted { ms: 2_500 }, Action::Check]);
    assert_eq!(bench.standing(4_500), Standing::Doubt);
    bench.keeper.checked(4_501, Checked::Unknown(trouble()));
    bench.expect(4_501, &[Action::Unanswered(trouble())]);
    bench.expect(4_751, &[Action::Check]);
    bench.keeper.checked(4_752, Checked::Ours);
    bench.expect(4_752, &[Action::Doubted { ms: 1_752 }]);
    assert_eq!(bench.standing(6_750), Standing::Open);

    bench.expect(5_751, &[Action::Check]);
    let late = (7..).map(|s| s * 1_000).find(|now| {
        let action = bench.keeper.poll_action(*now);
        action == Some(Action::Fence(Loss::Late { ms: now - 6_751 }))
    });
    assert_eq!(late, Some(17_000));
    assert!(matches!(bench.standing(17_000), Standing::Shut(Loss::Late { .. })));
}

/// A medium that nobody can ask while it is away is waited for longer, with the fence shut, and the lock is ours still
/// when it comes back and says so.
#[test]
fn a_medium_that_is_away_is_waited_for() {
    let mut bench = Bench::master_with(Config { late_ms_max: Some(60_000), ..CONFIG }, 0);
    bench.expect(1_000, &[Action::Check]);
    for second in 2..60 {
        bench.expect(second * 1_000, &[]);
        assert_eq!(bench.standing(second * 1_000), Standing::Doubt);
    }
    bench.keeper.checked(60_000, Checked::Unknown(trouble()));
    bench.expect(60_000, &[Action::Unanswered(trouble())]);
    bench.expect(60_250, &[Action::Check]);
    bench.keeper.checked(60_300, Checked::Ours);
    assert_eq!(bench.standing(60_300), Standing::Open);
}

/// A process that was stopped for an hour is not late for it: the answer may be there in a moment. Until then it
/// confirms nothing.
#[test]
fn a_stopped_process_looks_before_it_steps_down() {
    let hour = 3_600_000;
    for before in [500, 1_000] {
        let mut bench = Bench::master(0);
        let asked = before == 1_000;
        bench.expect(before, if asked { &[Action::Check] } else { &[] });
        assert_eq!(bench.standing(hour), Standing::Doubt);
        bench.expect(hour, if asked { &[] } else { &[Action::Check] });
        bench.keeper.checked(hour + 1, Checked::Ours);
        let mut told = vec![Action::Doubted { ms: hour + 1 - 2_000 }];
        if asked {
            told.push(Action::Check);
        }
        bench.expect(hour + 1, &told);
        if asked {
            bench.keeper.checked(hour + 2, Checked::Ours);
            bench.expect(hour + 2, &[Action::Doubted { ms: hour + 2 - 3_000 }]);
        }
        assert_eq!(bench.standing(hour + 3), Standing::Open);
    }
}

/// Told not to wait, it says who has the lock and ends; a lock that cannot be had from the beginning ends it too.
#[test]
fn what_is_not_waited_for() {
    let mut bench = Bench::new(Config { fail_if_locked: true, ..CONFIG });
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Ok(Attempt::Held(held())));
    bench.expect(0, &[Action::Locked(held())]);
    let mut bench = Bench::new(CONFIG);
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Err(trouble()));
    bench.expect(0, &[Action::Impossible(trouble())]);
    assert_eq!(bench.keeper.state(), &State::Fenced);
}

/// Without keep-alive a lock is believed once it was proven.
#[test]
fn without_keep_alive() {
    let mut bench = Bench::new(Config { keep_alive_ms: 0, ..CONFIG });
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Ok(Attempt::Taken(Former::Gone)));
    bench.expect(0, &[Action::Claim { epoch: None }]);
    bench.keeper.claimed(0, Ok(()));
    bench.expect(0, &[Action::Check]);
    bench.keeper.checked(0, Checked::Ours);
    bench.expect(0, &[Action::Recover]);
    bench.keeper.recovered(0, 1);
    bench.expect(0, &[Action::Claim { epoch: Some(1) }]);
    bench.keeper.claimed(0, Ok(()));
    bench.expect(i64::MAX - 1, &[]);
    assert_eq!((bench.keeper.poll_timeout(), bench.standing(i64::MAX - 1)), (None, Standing::Open));
    bench.keeper.stop(1);
    assert_eq!(bench.standing(2), Standing::Shut(Loss::GivenUp));
}

/// A clock that jumps ahead does not cut the wait short, and neither does a stop: it may have been the clock.
#[test]
fn a_jump_of_the_clock_is_no_wait() {
    let mut bench = Bench::new(CONFIG);
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(0, Ok(Attempt::Taken(Former::Unknown { why: "a test", window_ms: None })));
    bench.expect(0, &[Action::Claim { epoch: None }]);
    bench.keeper.claimed(0, Ok(()));
    bench.expect(0, &[Action::Settling { why: "a test", ms: 2_500 }]);
    bench.expect(1_000, &[]);
    bench.expect(60_000, &[]);
    assert_eq!(bench.keeper.state(), &State::Acquired { settled_at: Some(2_500 + 59_000) });
    bench.expect(61_000, &[]);
    bench.expect(61_500, &[Action::Check]);
}

/// Whoever needs long from the try to the proof cannot know what happened meanwhile.
#[test]
fn a_slow_claim_is_waited_out() {
    let mut bench = Bench::new(CONFIG);
    bench.expect(0, &[Action::Try]);
    bench.keeper.tried(5, Ok(Attempt::Taken(Former::Gone)));
    bench.expect(5, &[Action::Claim { epoch: None }]);
    bench.keeper.claimed(1_900, Ok(()));
    bench.expect(1_900, &[Action::Check]);
    bench.keeper.checked(2_001, Checked::Ours);
    bench.expect(2_001, &[Action::Settling { why: "it took long to be claimed", ms: 2_500 }]);
    assert_eq!(bench.standing(2_001), Standing::Doubt);
    bench.expect(3_000, &[]);
    bench.expect(4_000, &[]);
    bench.expect(4_501, &[Action::Check]);
    bench.keeper.checked(4_502, Checked::Ours);
    bench.expect(4_502, &[Action::Recover]);
}
