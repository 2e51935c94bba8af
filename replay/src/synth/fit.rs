//! Whether what is drawn is distributed as it says, at fixed seeds.
//!
//! Bounds are those that one sample of its size in a thousand exceeds (level 0.001); that they are
//! tight enough to tell is a test of its own.
#![expect(clippy::expect_used, reason = "a failed step fails the test")]

use std::f64::consts::{SQRT_2, TAU};

use super::arrivals::Times;
use super::chance::{Chance, Purpose};
use super::distribution::Distribution;
use super::model::{Arrivals, Flash, Process};
use super::number::{Factor, Positive, Rate, Seconds, Share, Span};
use super::zipf::Zipf;

/// A distribution function.
type Function<'a> = &'a dyn Fn(f64) -> f64;

/// The statistic of Kolmogorov and Smirnov, as a multiple of its bound.
fn distance(mut sample: Vec<f64>, function: Function<'_>) -> f64 {
    sample.sort_by(f64::total_cmp);
    let count = sample.len() as f64;
    let steps = sample.iter().zip(0_u32..);
    let most = steps.map(|(&x, below)| {
        let (at, below) = (function(x), f64::from(below));
        (at - below / count).max((below + 1.0) / count - at)
    });
    // Of both sides, for many: sqrt(-ln(0.001 / 2) / 2).
    let bound = (-(0.0005_f64.ln()) / 2.0).sqrt() / count.sqrt();
    most.fold(0.0, f64::max) / bound
}

/// Pearson's statistic of counts, as a multiple of its bound (Wilson and Hilferty 1931).
fn deviation(counts: &[u32], expected: &[f64]) -> f64 {
    let classes = counts.iter().zip(expected);
    let sum: f64 = classes
        .map(|(&count, expected)| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    // The normal quantile of 0.999.
    let (free, quantile) = (counts.len() as f64 - 1.0, 3.090_232);
    let spread = 2.0 / (9.0 * free);
    sum / (free * (1.0 - spread + quantile * spread.sqrt()).powi(3))
}

fn drawn(distribution: &str, count: usize) -> (Distribution, Vec<f64>) {
    #[derive(serde::Deserialize)]
    struct Keys {
        x: Distribution,
    }
    let keys: Keys = toml::from_str(&format!("x = {distribution}")).expect("a distribution");
    let mut chance = Chance::new(11, Purpose::Sizes);
    let sample = (0..count).map(|_| keys.x.draw(&mut chance)).collect();
    (keys.x, sample)
}

fn mean(sample: &[f64]) -> f64 {
    sample.iter().sum::<f64>() / sample.len() as f64
}

fn normal(x: f64) -> f64 {
    0.5 * (1.0 + libm::erf(x / SQRT_2))
}

fn exponential(mean: f64) -> impl Fn(f64) -> f64 {
    move |x: f64| 1.0 - (-x / mean).exp()
}

fn pareto(shape: f64, min: f64, max: f64) -> impl Fn(f64) -> f64 {
    move |x: f64| (1.0 - (min / x).powf(shape)) / (1.0 - (min / max).powf(shape))
}

const DRAWN: usize = 100_000;

#[test]
fn sizes_and_times() {
    let lognormal = |median: f64, sigma: f64, max: f64| {
        let below = move |x: f64| normal((x / median).ln() / sigma);
        move |x: f64| below(x) / below(max)
    };
    let uniform = |x: f64| (x - 5.0) / 15.0;
    let functions: [(&str, Function<'_>); 7] = [
        ("{ uniform = { min = 5, max = 20 } }", &uniform),
        ("{ exponential = { mean = 0.25 } }", &exponential(0.25)),
        (
            "{ lognormal = { median = 8_000, sigma = 1.5, max = 1e9 } }",
            &lognormal(8_000.0, 1.5, 1e9),
        ),
        // A tenth of it is above the end.
        (
            "{ lognormal = { median = 0.1, sigma = 0.5, max = 0.19 } }",
            &lognormal(0.1, 0.5, 0.19),
        ),
        (
            "{ pareto = { shape = 1.2, min = 500, max = 1e6 } }",
            &pareto(1.2, 500.0, 1e6),
        ),
        (
            "{ pareto = { shape = 1, min = 1, max = 100 } }",
            &pareto(1.0, 1.0, 100.0),
        ),
        (
            "{ pareto = { shape = 0.3, min = 2, max = 3 } }",
            &pareto(0.3, 2.0, 3.0),
        ),
    ];
    for (text, function) in functions {
        let (distribution, sample) = drawn(text, DRAWN);
        // What the size of a capture is reckoned from.
        let near = mean(&sample) / distribution.mean();
        assert!((0.85..1.15).contains(&near), "{text}: {near}");
        let distance = distance(sample, function);
        assert!(distance < 1.0, "{text}: {distance:.2} of the bound");
    }
}

/// A mean or a shape that is wrong by two parts in a hundred, a cut that is left out.
#[test]
fn the_bounds_tell() {
    let (_, sample) = drawn("{ exponential = { mean = 1 } }", DRAWN);
    assert!(distance(sample, &exponential(1.02)) > 1.0);
    let (_, sample) = drawn("{ pareto = { shape = 1.2, min = 500, max = 1e6 } }", DRAWN);
    assert!(distance(sample.clone(), &pareto(1.22, 500.0, 1e6)) > 1.0);
    let (_, sample) = drawn("{ pareto = { shape = 1, min = 1, max = 100 } }", DRAWN);
    assert!(distance(sample, &pareto(1.0, 1.0, f64::INFINITY)) > 1.0);
    let (counts, _) = ranks(1_000, 1.0);
    let (_, expected) = ranks(1_000, 1.02);
    assert!(deviation(&counts, &expected) > 1.0);
}

/// How often ranks were drawn, and should have been; those at the end are counted together where
/// each of them is rare.
fn ranks(count: u32, exponent: f64) -> (Vec<u32>, Vec<f64>) {
    let zipf = Zipf::new(count, exponent);
    let mut chance = Chance::new(7, Purpose::Clients);
    let weights: Vec<f64> = (1..=count)
        .map(|rank| f64::from(rank).powf(-exponent))
        .collect();
    let all: f64 = weights.iter().sum();
    let often = |weight: &&f64| **weight / all * DRAWN as f64 > 20.0;
    let classes = weights.iter().take_while(often).count();
    let mut expected: Vec<f64> = weights[..classes].to_vec();
    let rest: f64 = weights[classes..].iter().sum();
    if rest > 0.0 {
        expected.push(rest);
    }
    let expected: Vec<f64> = expected
        .iter()
        .map(|weight| weight / all * DRAWN as f64)
        .collect();
    let mut counts = vec![0; expected.len()];
    for _ in 0..DRAWN {
        let rank = zipf.draw(&mut chance);
        assert!(rank < count);
        counts[(rank as usize).min(classes)] += 1;
    }
    (counts, expected)
}

#[test]
fn ranks_are_those_of_zipf() {
    for (count, exponent) in [
        (2, 1.0),
        (100, 0.0),
        (1_000, 0.3),
        (1_000, 0.8),
        (100_000, 1.0),
        (100_000, 1.000_000_000_1),
        (50, 2.5),
        (16_000_000, 1.2),
    ] {
        let (counts, expected) = ranks(count, exponent);
        assert!(counts.len() > 1);
        let deviation = deviation(&counts, &expected);
        assert!(
            deviation < 1.0,
            "{count} ranks, exponent {exponent}: {deviation:.2} of the bound"
        );
    }
    let mut chance = Chance::new(7, Purpose::Clients);
    assert!((0..1_000).all(|_| Zipf::new(1, 1.0).draw(&mut chance) == 0));
}

fn times(process: Process, flash: Option<Flash>, rate: f64, until: f64) -> Vec<f64> {
    let arrivals = Arrivals {
        rate: Rate::known(rate),
        process,
        flash,
    };
    let mut times = Times::new(&arrivals, 3, Purpose::Arrivals);
    let all = std::iter::repeat_with(|| times.next());
    all.take_while(|&time| time < until).collect()
}

fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn span(seconds: f64) -> Span {
    Span::try_from(seconds).expect("a span")
}

#[test]
fn poisson_arrivals() {
    let times = times(Process::Poisson, None, 500.0, 100.0);
    // Five standard deviations.
    assert!((times.len() as f64 - 50_000.0).abs() < 5.0 * 50_000_f64.sqrt());
    let gaps = gaps(&times);
    // Nor do they know of each other.
    let (mean, pairs) = (mean(&gaps), gaps.windows(2));
    let product = pairs
        .map(|pair| (pair[0] - mean) * (pair[1] - mean))
        .sum::<f64>();
    let correlation = product / (mean * mean * gaps.len() as f64);
    assert!(correlation.abs() < 3.3 / (gaps.len() as f64).sqrt());
    let distance = distance(gaps, &exponential(1.0 / 500.0));
    assert!(distance < 1.0, "{distance:.2} of the bound");
}

/// Given how many there are, arrivals of a changing rate are independent, each distributed as the
/// rate's integral.
#[test]
fn diurnal_arrivals() {
    let process = Process::Diurnal {
        period_s: span(100.0),
        amplitude: Share::try_from(0.9).expect("a share"),
        peak_s: Seconds::known(20.0),
    };
    let times = times(process, None, 200.0, 250.0);
    let integral = |t: f64| {
        let phase = |t: f64| (TAU * (t - 20.0) / 100.0).sin() * 100.0 / TAU;
        t + 0.9 * (phase(t) - phase(0.0))
    };
    let distance = distance(times.clone(), &|t| integral(t) / integral(250.0));
    assert!(distance < 1.0, "{distance:.2} of the bound");
    let expected = 200.0 * integral(250.0);
    assert!((times.len() as f64 - expected).abs() < 5.0 * expected.sqrt());
}

#[test]
fn a_flash_crowd() {
    let flash = Flash {
        at_s: Seconds::known(10.0),
        ramp_s: Seconds::known(5.0),
        hold_s: Seconds::known(10.0),
        decay_s: Seconds::known(20.0),
        factor: Factor::try_from(15.0).expect("a factor"),
    };
    let times = times(Process::Poisson, Some(flash), 100.0, 60.0);
    let integral = |t: f64| {
        let ramp = (t - 10.0).clamp(0.0, 5.0);
        let hold = (t - 15.0).clamp(0.0, 10.0);
        let decay = (t - 25.0).clamp(0.0, 20.0);
        t + 14.0 * (ramp * ramp / 10.0 + hold + decay - decay * decay / 40.0)
    };
    let distance = distance(times.clone(), &|t| integral(t) / integral(60.0));
    assert!(distance < 1.0, "{distance:.2} of the bound");
    let expected = 100.0 * integral(60.0);
    assert!((times.len() as f64 - expected).abs() < 5.0 * expected.sqrt());
    // Steps in place of slopes.
    let at_once = Flash {
        ramp_s: Seconds::known(0.0),
        decay_s: Seconds::known(0.0),
        ..flash
    };
    let stepped = self::times(Process::Poisson, Some(at_once), 100.0, 60.0);
    let integral = |t: f64| t + 14.0 * (t - 10.0).clamp(0.0, 10.0);
    assert!(self::distance(stepped, &|t| integral(t) / integral(60.0)) < 1.0);
}

/// At 1,000 arrivals a second, one silence of half a billion is so long.
const SILENCE: f64 = 0.02;

/// Pauses are exponential, and what is within bursts is: seen by the silences that no burst has.
#[test]
fn bursty_arrivals() {
    let process = Process::Bursty {
        on_s: span(0.2),
        off_s: span(1.8),
    };
    let times = times(process, None, 100.0, 4_000.0);
    let count = times.len() as f64;
    // Of one burst and its pause: 200 arrivals, a variance of 200 and twice the mean squared or less.
    let deviation = (2_000.0_f64 * 2.0 * 200.0 * 200.0).sqrt();
    assert!((count - 400_000.0).abs() < 5.0 * deviation, "{count}");
    let gaps = gaps(&times);
    let pauses: Vec<f64> = gaps.iter().copied().filter(|&gap| gap > SILENCE).collect();
    let pauses: Vec<f64> = pauses.iter().map(|pause| pause - SILENCE).collect();
    assert!(pauses.len() > 1_500);
    let pauses = distance(pauses, &exponential(1.8));
    assert!(pauses < 1.0, "{pauses:.2} of the bound");
    let within: Vec<f64> = gaps.into_iter().filter(|&gap| gap <= SILENCE).collect();
    let cut = exponential(0.001)(SILENCE);
    let within = distance(within, &|x| exponential(0.001)(x) / cut);
    assert!(within < 1.0, "{within:.2} of the bound");
}

#[test]
fn amounts_are_positive_and_finite() {
    let most = Positive::try_from(1e12).expect("an amount").get();
    let text = format!("{{ pareto = {{ shape = 0.01, min = 1e-9, max = {most} }} }}");
    let (_, sample) = drawn(&text, DRAWN);
    assert!(sample.iter().all(|x| (1e-9..=most).contains(x)));
    let (_, sample) = drawn("{ pareto = { shape = 100, min = 1, max = 1e12 } }", DRAWN);
    assert!(sample.iter().all(|x| (1.0..=2.0).contains(x)));
}
