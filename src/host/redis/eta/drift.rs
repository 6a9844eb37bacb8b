//! Whether a load slows down more, or less, than its expected course says, as far as that can be told from noise.
//!
//! How much a byte's price rises while memory fills depends on the data and on the machine: nested sorted sets hardly slow
//! at all, millions of short strings do by half. So the price of equal stretches of the work seen so far is fitted with a
//! line, and the line counts by how well it explains them (a ridge regression whose noise is what the line leaves over).

/// Stretches into which the work seen so far is divided.
const STRETCHES: usize = 10;
/// Below this share of the part's work nothing is fitted.
const LEAST_SEEN: f64 = 0.02;
/// The noise of one stretch's price, at least: neighbours on the machine come and go.
const NOISE: f64 = 0.04;
/// Neighbouring stretches are disturbed by the same neighbours: so much more than their scatter tells.
const ALIKE: f64 = 5.0;

/// By how much, as a share of its mean price so far, a part's price rises over its whole length beyond what was expected.
/// `seen` is the expected work done, as a share of the part's, against actual processor seconds, in order; `usual` is how
/// large such a rise usually is.
pub(super) fn drift(seen: &[(f64, f64)], usual: f64) -> f64 {
    let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
        return 0.0;
    };
    let (range, spent) = (last.0 - first.0, last.1 - first.1);
    if range < LEAST_SEEN || spent <= 0.0 || seen.len() <= STRETCHES {
        return 0.0;
    }
    let mean = spent / range;
    let width = range / STRETCHES as f64;
    let at = |n: usize| first.0 + width * n as f64;
    let prices: Vec<f64> = (0..STRETCHES).map(|n| (spent_at(seen, at(n + 1)) - spent_at(seen, at(n))) / width / mean).collect();
    let place = |n: usize| width * (n as f64 + 0.5) - range / 2.0;
    let square: f64 = (0..STRETCHES).map(|n| place(n).powi(2)).sum();
    let slope = prices.iter().enumerate().map(|(n, price)| place(n) * (price - 1.0)).sum::<f64>() / square;
    let left_over: f64 = prices.iter().enumerate().map(|(n, price)| (price - 1.0 - slope * place(n)).powi(2)).sum();
    let noise = (left_over / (STRETCHES - 2) as f64).max(NOISE * NOISE);
    slope * square / (square + ALIKE * noise / (usual * usual))
}

/// Processor seconds when so much of the expected work was done.
fn spent_at(seen: &[(f64, f64)], share: f64) -> f64 {
    let after = seen.partition_point(|one| one.0 <= share);
    match (after.checked_sub(1).and_then(|n| seen.get(n)), seen.get(after)) {
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (share - a.0) / (b.0 - a.0),
        (Some(only), None) | (None, Some(only)) => only.1,
        (None, None) => 0.0,
    }
}
