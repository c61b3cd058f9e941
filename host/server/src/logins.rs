//! Logins that take a while: hashing a password takes tens of milliseconds of a processor, and whoever knocks decides
//! how often. Few threads do it, each address waits in a line of its own, and nobody who is in waits with them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustc_hash::FxHashMap;
use session::{Admitted, Authenticator, Credentials, Denied};
use tokio::sync::Semaphore;

use crate::core::now_ms;

/// Logins of one address that may stand in the line for all; its others wait behind them, so that an address that
/// floods delays others by no more than these.
const PLACES_PER_ADDRESS: usize = 2;

/// The lines.
pub(crate) struct Logins {
    authenticator: Arc<dyn Authenticator>,
    threads: Arc<Semaphore>,
    addresses: Mutex<FxHashMap<IpAddr, Weak<Semaphore>>>,
}

impl Logins {
    /// `threads` logins are decided at the same time.
    pub(crate) fn new(authenticator: Arc<dyn Authenticator>, threads: usize) -> Logins {
        Logins { authenticator, threads: Arc::new(Semaphore::new(threads.max(1))), addresses: Mutex::default() }
    }

    /// The answer, where it costs next to nothing.
    pub(crate) fn at_once(&self, credentials: &Credentials) -> Option<Result<Admitted, Denied>> {
        self.authenticator.at_once(credentials, now_ms())
    }

    /// The answer, after waiting in line. Dropping the future gives the place up; what a thread has begun it ends.
    pub(crate) async fn decide(self: Arc<Self>, from: IpAddr, credentials: Credentials) -> Result<Admitted, Denied> {
        // Lines are never closed.
        let place = self.line_of(from).acquire_owned().await.map_err(|_| Denied::Unavailable)?;
        let thread = self.threads.clone().acquire_owned().await.map_err(|_| Denied::Unavailable)?;
        let authenticator = self.authenticator.clone();
        let work = move || {
            let _held = (place, thread);
            authenticator.authenticate(&credentials, now_ms())
        };
        tokio::task::spawn_blocking(work).await.unwrap_or(Err(Denied::Unavailable))
    }

    fn line_of(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = addresses.get(&address).and_then(Weak::upgrade) {
            return line;
        }
        // Lines are few: those that nobody stands in go whenever one is added.
        addresses.retain(|_, line| line.strong_count() > 0);
        let line = Arc::new(Semaphore::new(PLACES_PER_ADDRESS));
        addresses.insert(address, Arc::downgrade(&line));
        line
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Each login takes until the test says so.
    struct Slow {
        go: Mutex<mpsc::Receiver<()>>,
        inside: AtomicUsize,
        most: AtomicUsize,
    }

    impl Authenticator for Slow {
        fn at_once(&self, _: &Credentials, _: i64) -> Option<Result<Admitted, Denied>> {
            None
        }

        fn authenticate(&self, _: &Credentials, _: i64) -> Result<Admitted, Denied> {
            let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(inside, Ordering::SeqCst);
            let waited = self.go.lock().expect("no test panics inside").recv_timeout(Duration::from_secs(10));
            self.inside.fetch_sub(1, Ordering::SeqCst);
            waited.map_err(|_| Denied::Unavailable)?;
            Ok(Admitted::forever(Default::default()))
        }
    }

    /// A flood from one address takes one thread at a time, and another address comes after two of it, not after all.
    #[test]
    fn an_address_that_floods_delays_others_by_its_places_only() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let (go, wait) = mpsc::channel();
            let slow = Arc::new(Slow { go: Mutex::new(wait), inside: AtomicUsize::new(0), most: AtomicUsize::new(0) });
            let logins = Arc::new(Logins::new(slow.clone(), 1));
            let (flood, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
            let mut flooding = tokio::task::JoinSet::new();
            for _ in 0..50 {
                flooding.spawn(logins.clone().decide(flood, Credentials::default()));
            }
            while slow.inside.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let late = tokio::spawn(logins.clone().decide(other, Credentials::default()));
            while logins.addresses.lock().expect("no test panics inside").len() < 2 {
                tokio::task::yield_now().await;
            }
            for _ in 0..3 {
                go.send(()).expect("the test's own");
            }
            assert!(late.await.expect("no panic").is_ok());
            for _ in 0..50 {
                go.send(()).expect("the test's own");
            }
            while let Some(done) = flooding.join_next().await {
                assert!(done.expect("no panic").is_ok());
            }
            assert_eq!(slow.most.load(Ordering::SeqCst), 1);
        });
    }
}
