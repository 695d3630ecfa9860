//! Rate limits of requests, by who sends them: an account, or the network of an address.
//!
//! Memory is bounded. Who has not come for so long that nothing speaks against it is forgotten. Where as many as may be are
//! remembered and none of them can be forgotten, newcomers share one bucket for each class, so that a flood of addresses
//! neither grows the table nor empties it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    domain::bucket::{Bucket, Rate},
    http::place::network_of,
    protocol::{
        error::{ErrorCode, Rejection},
        ids::UserId,
        time::Timestamp,
    },
};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// How much more newcomers have together than one has, while there are too many.
const SHARED: u32 = 10;
/// How often those are looked for who can be forgotten, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What is limited together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitClass {
    /// Every request.
    General,
    /// Log-ins, beside that.
    LogIn,
    /// New accounts, beside that.
    Registration,
}

/// The limits' settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitSettings {
    /// Requests of an account, or of an address without one. Default 100 a minute.
    pub general: Rate,
    /// Log-ins of an address. Default 10 a minute.
    pub log_in: Rate,
    /// New accounts of an address. Default 5 a minute.
    pub registration: Rate,
    /// How many accounts and addresses are remembered at once, in all classes. Default 100 000.
    pub subjects: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let a_minute = |number| Rate { capacity: number, refill: number, period_ms: 60_000 };
        Self { general: a_minute(100), log_in: a_minute(10), registration: a_minute(5), subjects: 100_000 }
    }
}

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An account.
    User(UserId),
    /// An address: of IPv6 its /64.
    Address(IpAddr),
    /// All those for whom there is no room.
    Newcomers,
}

impl Subject {
    /// An address.
    pub fn address(address: IpAddr) -> Self {
        Self::Address(network_of(address))
    }
}

/// What a limit leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests at once.
    pub limit: u32,
    /// How many of them are left now.
    pub remaining: u32,
    /// When all of them are there again.
    pub reset: Duration,
    /// How long until the next, where this one is refused.
    pub refused: Option<Duration>,
}

/// What everybody has used up.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    buckets: HashMap<(LimitClass, Subject), Bucket>,
    swept: Timestamp,
}

impl Limits {
    /// With nothing used up.
    pub fn new(settings: LimitSettings) -> Self {
        Self { settings, used: Mutex::default() }
    }

    /// Takes one request of somebody; refused, nothing is taken.
    pub fn take(&self, class: LimitClass, subject: Subject, now: Timestamp) -> Allowance {
        let rate = self.rate(class);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let (subject, rate) = match used.admit((class, subject), self.settings, now) {
            key @ (_, Subject::Newcomers) => (key, shared(rate)),
            key => (key, rate),
        };
        let bucket = used.buckets.entry(subject).or_default();
        let refused = if bucket.try_take(&rate, 1, now) {
            None
        } else {
            // A limit of nothing never refills; an hour says so.
            Some(bucket.retry_after(&rate, 1, now).unwrap_or(Duration::from_secs(3600)))
        };
        let remaining = bucket.available(&rate, now);
        let reset = bucket.retry_after(&rate, rate.capacity, now).unwrap_or_default();
        Allowance { limit: rate.capacity, remaining, reset, refused }
    }

    /// How many are remembered now.
    pub fn subjects(&self) -> usize {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()
    }

    fn rate(&self, class: LimitClass) -> Rate {
        self.settings.rate(class)
    }
}

impl LimitSettings {
    fn rate(&self, class: LimitClass) -> Rate {
        match class {
            LimitClass::General => self.general,
            LimitClass::LogIn => self.log_in,
            LimitClass::Registration => self.registration,
        }
    }
}

impl Used {
    /// The key under which somebody is counted.
    fn admit(&mut self, key: (LimitClass, Subject), settings: LimitSettings, now: Timestamp) -> (LimitClass, Subject) {
        if self.buckets.len() < settings.subjects || self.buckets.contains_key(&key) {
            return key;
        }
        if now.since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.buckets.retain(|(class, subject), bucket| {
                let rate = settings.rate(*class);
                *subject == Subject::Newcomers || bucket.available(&rate, now) < rate.capacity
            });
        }
        if self.buckets.len() < settings.subjects { key } else { (key.0, Subject::Newcomers) }
    }
}

fn shared(rate: Rate) -> Rate {
    Rate { capacity: rate.capacity.saturating_mul(SHARED), refill: rate.refill.saturating_mul(SHARED), ..rate }
}

impl Allowance {
    /// The error, where the request is refused.
    pub fn check(&self) -> Result<(), Rejection> {
        let Some(wait) = self.refused else { return Ok(()) };
        let message = "too many requests: wait before sending more";
        Err(Rejection::new(ErrorCode::RateLimit, message).with("retry_after_ms", wait.as_millis().max(1)))
    }

    /// Tells of it in an answer: how many requests at once, how many are left, and in how many seconds all are there again.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset.as_millis().div_ceil(1000).min(u64::MAX.into()) as u64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn address(last: u32) -> Subject {
        Subject::address(IpAddr::from(last.to_be_bytes()))
    }

    fn limits(subjects: usize) -> Limits {
        Limits::new(LimitSettings { subjects, ..LimitSettings::default() })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn ten_log_ins_a_minute_and_then_one_every_six_seconds() {
        let limits = limits(10);
        let take = |now| limits.take(LimitClass::LogIn, address(1), now);
        for left in (0..10).rev() {
            let allowance = take(START);
            assert_eq!((allowance.limit, allowance.remaining, allowance.check()), (10, left, Ok(())));
        }
        let refused = take(START);
        assert_eq!((refused.refused, refused.reset), (Some(seconds(6)), seconds(60)));
        assert_eq!(refused.check().unwrap_err().code, ErrorCode::RateLimit);
        assert_eq!(take(START + seconds(6)).refused, None);
        assert!(take(START + seconds(6)).refused.is_some());
    }

    #[test]
    fn classes_and_subjects_are_counted_apart() {
        let limits = limits(100);
        while limits.take(LimitClass::LogIn, address(1), START).refused.is_none() {}
        assert_eq!(limits.take(LimitClass::LogIn, address(2), START).refused, None);
        assert_eq!(limits.take(LimitClass::General, address(1), START).refused, None);
        assert_eq!(limits.take(LimitClass::General, Subject::User("u1".into()), START).remaining, 99);
        let [one, other] = ["2001:db8:1:2::1", "2001:db8:1:2::2"].map(|text| Subject::address(text.parse().unwrap()));
        assert_eq!(one, other, "one network is one customer");
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_does_not_make_anybody_forgotten() {
        let limits = limits(50);
        while limits.take(LimitClass::LogIn, address(1), START).refused.is_none() {}
        for flood in 2..100_000 {
            limits.take(LimitClass::LogIn, address(flood), START);
            assert!(limits.subjects() <= 51);
        }
        assert!(limits.take(LimitClass::LogIn, address(1), START).refused.is_some());
        let newcomer = limits.take(LimitClass::LogIn, address(200_000), START);
        assert!(newcomer.refused.is_some(), "they share what they have used up");
        // When the flood is over everything is as it was.
        let later = START + seconds(60);
        let newcomer = limits.take(LimitClass::LogIn, address(200_000), later);
        assert_eq!((newcomer.refused, newcomer.limit), (None, 10));
        assert!(limits.subjects() <= 2);
    }
}
