//! The live estimate on loads made up here: other hosts, other data, and the accidents that recordings happen not to hold.
use super::*;
use crate::host::redis::eta::{Curve, Expected, IncrCost};

/// A made-up load: what a byte of each part really costs, and the host.
#[derive(Clone, Copy)]
struct Made {
    sizes: (u64, u64),
    base_ns: f64,
    incr_ns: f64,
    /// Wall seconds per processor second.
    stretch: f64,
    /// Bytes per second of the disk.
    disk: f64,
}

const GB: u64 = 1_000_000_000;

impl Made {
    /// Samples once a second, from the start to the end.
    fn samples(self) -> Vec<Sample> {
        let (base, incr) = self.sizes;
        let curve = Curve::default();
        let cpu = |read: f64| {
            let (base, incr) = (base as f64, incr as f64);
            let of = |bytes: f64, read: f64, ns: f64| {
                if bytes > 0.0 { bytes * ns / 1e9 * curve.at(read / bytes) } else { 0.0 }
            };
            of(base, read.min(base), self.base_ns) + of(incr, (read - base).max(0.0), self.incr_ns)
        };
        const STEPS: u64 = 20_000;
        let total = base + incr;
        let (mut seconds, mut queue, mut samples) = (0.0, 0.0, vec![self.sample(0.0, 0, 0.0, 0.0)]);
        for step in 1..=STEPS {
            let place = |step: u64| total as f64 * step as f64 / STEPS as f64;
            let work = cpu(place(step)) - cpu(place(step - 1));
            let spent = (work * self.stretch).max(total as f64 / STEPS as f64 / self.disk);
            seconds += spent;
            queue += work * (self.stretch - 1.0);
            if seconds >= samples.len() as f64 || step == STEPS {
                samples.push(self.sample(seconds, place(step) as u64, cpu(place(step)), queue));
            }
        }
        samples
    }

    fn sample(self, seconds: f64, bytes: u64, cpu: f64, queue: f64) -> Sample {
        Sample { seconds, bytes, cpu_secs: Some(cpu), runqueue_secs: Some(queue) }
    }

    fn record(self) -> LoadRecord {
        LoadRecord::of("bds", "redis 7.0.15", self.sizes, &self.samples()).unwrap()
    }
}

/// The largest error at 10, 25, 50 and 75 % of the time, ours and that of a straight line over bytes, as shares.
fn errors(made: Made, work: Work) -> (f64, f64) {
    let samples = made.samples();
    let (end, total) = (samples.last().unwrap().seconds, made.sizes.0 + made.sizes.1);
    let (mut ours, mut line) = (0.0_f64, 0.0_f64);
    let mut eta = LoadEta::new(work);
    let mut marks = [0.10, 0.25, 0.5, 0.75].into_iter().peekable();
    for sample in samples {
        eta.feed(sample);
        let left = eta.left(sample.seconds).unwrap();
        if marks.next_if(|mark| sample.seconds >= mark * end).is_some() {
            let actual = end - sample.seconds;
            let straight = sample.seconds * (total - sample.bytes) as f64 / sample.bytes.max(1) as f64;
            ours = ours.max((left.typical - actual).abs() / actual);
            line = line.max((straight - actual).abs() / actual);
        }
    }
    (ours, line)
}

#[test]
fn other_data_on_other_hosts() {
    let made =
        |base, incr, base_ns, incr_ns, stretch| Made { sizes: (base, incr), base_ns, incr_ns, stretch, disk: 1e12 };
    for (name, made) in [
        ("cheap base, dear increments", made(3 * GB, GB, 6.0, 120.0, 1.0)),
        ("dear base, cheap increments", made(GB, 3 * GB, 18.0, 5.0, 1.0)),
        ("a busy host", made(2 * GB, 2 * GB, 10.0, 50.0, 6.0)),
        ("increments only", made(0, 2 * GB, 10.0, 70.0, 2.0)),
        ("base only", made(4 * GB, 0, 15.0, 0.0, 1.5)),
    ] {
        let sizes = Work::of_sizes(made.sizes.0, made.sizes.1);
        // The earlier load was on a quiet host and of a smaller set.
        let earlier = Made { sizes: (made.sizes.0 / 2, made.sizes.1 / 3), stretch: 1.0, ..made }.record();
        let (ours, line) = errors(made, sizes.clone().learned(&[&earlier]));
        assert!(ours < 0.15, "{name} with history: {ours} against {line}");
        // After a move to a machine twice as fast the history is wrong throughout, and yields.
        let faster = Made { base_ns: made.base_ns / 2.0, incr_ns: made.incr_ns / 2.0, ..made };
        let (ours, _) = errors(faster, sizes.clone().learned(&[&earlier]));
        assert!(ours < 0.7, "{name} on a faster machine: {ours}");
        let (ours, line) = errors(made, sizes.clone());
        assert!(ours <= line.max(0.25), "{name} without history: {ours} against {line}");
        // Counted commands give the cost of increments to a factor.
        let cost = IncrCost { secs_per_byte: made.incr_ns * 1.4e-9, course: vec![] };
        let (ours, line) = errors(made, sizes.sampled(&cost));
        assert!(ours < line.max(0.5), "{name} with a sample: {ours} against {line}");
    }
}

#[test]
fn the_disk_is_the_limit_until_the_work_is() {
    // 1.5 MB/s, as on the host of the field notes: the line over bytes is right and is known to be.
    let slow = Made { sizes: (GB, GB), base_ns: 10.0, incr_ns: 40.0, stretch: 1.2, disk: 1.5e6 };
    let (ours, _) = errors(slow, Work::of_sizes(GB, GB));
    assert!(ours < 0.06, "{ours}");
    assert_eq!(slow.record().regime, Regime::Disk);
    assert!((slow.record().disk_rate.unwrap() / 1.5e6 - 1.0).abs() < 0.05);
    // A base behind the disk, then sorted sets behind the processor; an earlier load was never held up.
    let both = Made { sizes: (GB, GB / 4), base_ns: 6.0, incr_ns: 150.0, stretch: 1.1, disk: 25e6 };
    let earlier = Made { disk: 1e12, stretch: 1.0, ..both }.record();
    let (ours, line) = errors(both, Work::of_sizes(GB, GB / 4).learned(&[&earlier]));
    assert!(ours < 0.25 && line > 0.25, "{ours} {line}");
}

fn at(seconds: f64, bytes: u64) -> Sample {
    Sample { seconds, bytes, cpu_secs: Some(seconds * 0.9), runqueue_secs: Some(0.0) }
}

#[test]
fn a_stall_is_said_and_does_not_look_like_the_end_of_progress() {
    let mut eta = LoadEta::new(Work::of_sizes(GB, 0));
    for second in 0..=20 {
        eta.feed(at(f64::from(second), u64::from(second as u32) * 20_000_000));
    }
    let before = eta.left(20.0).unwrap();
    assert_eq!(before.stalled, None);
    eta.feed(Sample { cpu_secs: Some(18.0), ..at(45.0, 400_000_000) });
    let during = eta.left(45.0).unwrap();
    assert_eq!(during.stalled, Some(25.0));
    assert!((during.typical / before.typical - 1.0).abs() < 0.2, "{before:?} {during:?}");
}

#[test]
fn a_server_that_begins_anew_is_reckoned_anew() {
    let mut eta = LoadEta::new(Work::of_sizes(GB, 0));
    for second in 0..=20 {
        eta.feed(at(f64::from(second), u64::from(second as u32) * 40_000_000));
    }
    assert!(eta.left(20.0).unwrap().done > 0.7);
    eta.feed(Sample { cpu_secs: Some(0.1), ..at(21.0, 4_000_000) });
    let anew = eta.left(21.0).unwrap();
    assert!(anew.done < 0.1 && anew.typical > 5.0, "{anew:?}");
    // Two counts of the same moment may differ a little.
    eta.feed(at(30.0, 100_000_000));
    eta.feed(Sample { cpu_secs: Some(28.0), ..at(31.0, 99_000_000) });
    assert_eq!(eta.samples.last().unwrap().bytes, 100_000_000);
}

#[test]
fn nonsense_in_no_nonsense_out() {
    let mut eta = LoadEta::new(Work::of_sizes(0, 0));
    assert_eq!(eta.left(1.0), None);
    eta.feed(at(f64::NAN, 5));
    eta.feed(at(0.0, 5));
    eta.feed(at(1.0, u64::MAX));
    let left = eta.left(2.0).unwrap();
    assert!(left.typical.is_finite() && left.high.is_finite() && left.low <= left.typical, "{left:?}");
    assert_eq!(LoadRecord::of("x", "y", (0, 0), &[]), None);
    let mut long = LoadEta::new(Work::of_sizes(GB, 0));
    for second in 0..10_000_u32 {
        long.feed(at(f64::from(second), u64::from(second) * 90_000));
    }
    assert!(long.samples.len() <= MAX_SAMPLES);
}

#[test]
fn three_loads_tell_their_own_doubt() {
    let made = Made { sizes: (GB, 0), base_ns: 12.0, incr_ns: 0.0, stretch: 1.0, disk: 1e12 };
    let load = |factor: f64| {
        let mut load = made.record();
        let typical = load.wall_secs() / factor;
        load.expected = Some(Expected { typical, low: typical / 1.2, high: typical * 1.2 });
        load
    };
    let loads = [load(1.02), load(0.99), load(1.01)];
    let sure = Work::of_sizes(GB, 0).learned(&loads.iter().collect::<Vec<_>>()).expected();
    let loads = [load(2.0), load(0.6), load(1.5)];
    let unsure = Work::of_sizes(GB, 0).learned(&loads.iter().collect::<Vec<_>>()).expected();
    assert!((sure.high / sure.typical - 1.15).abs() < 1e-6, "{sure:?}");
    assert!(unsure.high / unsure.typical > 1.7, "{unsure:?}");
}

#[test]
fn a_probed_disk_is_the_limit_where_it_is_slower_than_the_work_and_an_earlier_load_knows_better() {
    let alone = Work::of_sizes(GB, 0);
    let slow = alone.clone().on_disk(Some(1.5e6)).expected().typical;
    assert!((slow / (1e9 / 1.5e6) - 1.0).abs() < 1e-6, "{slow}");
    assert_eq!(alone.clone().on_disk(Some(2e9)).expected(), alone.expected());
    assert_eq!(alone.clone().on_disk(Some(f64::NAN)).expected(), alone.expected());
    let held_up = Made { sizes: (GB, 0), base_ns: 10.0, incr_ns: 0.0, stretch: 1.1, disk: 3e6 }.record();
    let learned = alone.on_disk(Some(1.5e6)).learned(&[&held_up]).expected().typical;
    assert!((learned / (1e9 / 3e6) - 1.0).abs() < 0.1, "{learned}");
}
