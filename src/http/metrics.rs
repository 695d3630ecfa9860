//! Counters, and the Prometheus text format they are told in (version 0.0.4).
//!
//! Plain relaxed atomics: a figure is right, two figures of one scrape need not be of the same instant.

use std::{
    fmt::{Display, Write as _},
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The content type of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A figure that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn increment(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// The figure now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// The values of one label: a closed set, so that no peer can add a time series.
pub trait Label: Copy + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// The value's place in [`Label::ALL`].
    fn index(self) -> usize;
    /// The value as it is told.
    fn as_str(self) -> &'static str;
}

/// Makes an enum whose variants are the values of a label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident($label:literal) { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $crate::http::metrics::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant,)*];
            fn index(self) -> usize {
                self as usize
            }
            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}
pub(crate) use label;

/// One counter for each value of a label.
#[derive(Debug)]
pub struct Counters<L> {
    counters: Box<[Counter]>,
    label: PhantomData<L>,
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Self { counters: L::ALL.iter().map(|_| Counter::default()).collect(), label: PhantomData }
    }
}

impl<L: Label> Counters<L> {
    /// One more of this value.
    pub fn increment(&self, value: L) {
        self.counters[value.index()].increment();
    }

    /// The figure of this value now.
    pub fn get(&self, value: L) -> u64 {
        self.counters[value.index()].get()
    }
}

/// Writes the text format.
pub struct Exposition<'a>(pub &'a mut String);

impl Exposition<'_> {
    /// A counter without labels. By convention its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// One sample for each value of a label, the zeros too.
    pub fn counters<L: Label>(&mut self, name: &str, help: &str, counters: &Counters<L>) {
        self.family(name, "counter", help);
        for value in L::ALL {
            self.sample(name, &[(L::NAME, value.as_str())], counters.get(*value));
        }
    }

    /// Opens a family: its samples must follow, and no other family of that name.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample of the family opened last.
    pub fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    label! {
        /// Why it was turned away.
        Refusal("reason") {
            /// No room.
            Total = "total_cap",
            /// No room for that address.
            Address = "address_cap",
        }
    }

    #[test]
    fn values_of_a_label_are_counted_apart_and_told_with_their_zeros() {
        let counters = Counters::<Refusal>::default();
        counters.increment(Refusal::Address);
        counters.increment(Refusal::Address);
        let mut out = String::new();
        Exposition(&mut out).counters("refused_total", "Turned away.", &counters);
        assert_eq!(
            out,
            "# HELP refused_total Turned away.\n# TYPE refused_total counter\n\
             refused_total{reason=\"total_cap\"} 0\nrefused_total{reason=\"address_cap\"} 2\n"
        );
    }

    #[test]
    fn label_values_and_help_are_escaped() {
        let mut out = String::new();
        let mut exposition = Exposition(&mut out);
        exposition.family("rooms", "gauge", "a\\b\nc");
        exposition.sample("rooms", &[("name", "say \"hi\"\n"), ("path", "c:\\")], 1.5);
        assert_eq!(
            out,
            "# HELP rooms a\\\\b\\nc\n# TYPE rooms gauge\nrooms{name=\"say \\\"hi\\\"\\n\",path=\"c:\\\\\"} 1.5\n"
        );
    }
}
