//! The calls of a span of time that slides.

use std::time::Duration;

use crate::actor::moment::Moment;

/// Into how many parts a window is cut: it slides by one of them at a time.
pub(super) const PARTS: u64 = 10;

/// How many calls there were and how many failed, of late. Its memory is fixed.
#[derive(Debug)]
pub(super) struct Window {
    part_ns: u64,
    parts: [Part; PARTS as usize],
}

/// The calls of one part.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// Which part since the clock's start.
    number: u64,
    calls: u64,
    failures: u64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let length_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { part_ns: (length_ns / PARTS).max(1), parts: Default::default() }
    }

    /// Counts a call that ended now. Moments do not go back.
    pub(super) fn record(&mut self, failed: bool, now: Moment) {
        let number = now.as_ns() / self.part_ns;
        let part = &mut self.parts[(number % PARTS) as usize];
        if part.number != number {
            *part = Part { number, ..Part::default() };
        }
        part.calls += 1;
        part.failures += u64::from(failed);
    }

    /// The calls, and the failures among them, of this part and the nine before it.
    pub(super) fn tally(&self, now: Moment) -> (u64, u64) {
        let number = now.as_ns() / self.part_ns;
        let within = self.parts.iter().filter(|part| number.saturating_sub(part.number) < PARTS);
        within.fold((0, 0), |(calls, failures), part| (calls + part.calls, failures + part.failures))
    }

    /// Forgets all calls.
    pub(super) fn clear(&mut self) {
        self.parts = Default::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    fn just_before(moment: Moment) -> Moment {
        moment - Duration::from_nanos(1)
    }

    fn second() -> Window {
        Window::new(Duration::from_secs(1))
    }

    #[test]
    fn calls_and_failures_are_counted() {
        let mut window = second();
        assert_eq!(window.tally(ms(0)), (0, 0));
        window.record(false, ms(0));
        window.record(true, ms(0));
        window.record(true, ms(950));
        assert_eq!(window.tally(ms(950)), (3, 2));
    }

    #[test]
    fn a_call_is_forgotten_when_its_part_has_slid_out() {
        let mut window = second();
        window.record(true, ms(5000));
        window.record(false, just_before(ms(5100)));
        window.record(true, ms(5100));
        assert_eq!(window.tally(just_before(ms(6000))), (3, 2));
        assert_eq!(window.tally(ms(6000)), (1, 1));
        assert_eq!(window.tally(just_before(ms(6100))), (1, 1));
        assert_eq!(window.tally(ms(6100)), (0, 0));
    }

    #[test]
    fn a_new_part_takes_the_place_of_one_that_has_slid_out() {
        let mut window = second();
        window.record(true, ms(5050));
        window.record(false, ms(6050));
        window.record(false, ms(6050));
        assert_eq!(window.tally(ms(6050)), (2, 0));
        window.record(true, ms(26_050));
        assert_eq!(window.tally(ms(26_050)), (1, 1));
    }

    #[test]
    fn clearing_forgets_all() {
        let mut window = second();
        window.record(true, ms(5000));
        window.clear();
        assert_eq!(window.tally(ms(5000)), (0, 0));
    }

    #[test]
    fn the_shortest_window_is_of_ten_nanoseconds() {
        for length in [0, 1, 9, 10, 19] {
            let mut window = Window::new(Duration::from_nanos(length));
            window.record(true, Moment::from_ns(100));
            assert_eq!(window.tally(Moment::from_ns(109)), (1, 1), "{length}");
            assert_eq!(window.tally(Moment::from_ns(110)), (0, 0), "{length}");
        }
        let mut window = Window::new(Duration::from_nanos(20));
        window.record(true, Moment::from_ns(100));
        assert_eq!(window.tally(Moment::from_ns(119)), (1, 1));
        assert_eq!(window.tally(Moment::from_ns(120)), (0, 0));
    }

    #[test]
    fn the_ends_of_time_are_no_trouble() {
        let (end, tenth) = (Moment::from_ns(u64::MAX), u64::MAX / 10);
        let mut longest = Window::new(Duration::MAX);
        longest.record(true, ms(0));
        assert_eq!(longest.tally(Moment::from_ns(10 * tenth - 1)), (1, 1));
        assert_eq!(longest.tally(end), (0, 0));
        let mut shortest = Window::new(Duration::ZERO);
        shortest.record(true, end);
        assert_eq!(shortest.tally(end), (1, 1));
    }
}
