//! How connections were spread over the real servers of one service.

use crate::model::{Balance, BalanceOver};

/// What one real server got, and what it was promised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerCount {
    /// Connections.
    pub connections: u64,
    /// Its weight; a server of weight 0 does not count for the balance.
    pub weight: u32,
    /// The part that the policy promises it, from 0 to 1; none where it promises none.
    pub promised_share: Option<f64>,
}

/// Shares and balance of one service.
///
/// With x the connections divided by the promised share (connections as they are where one server
/// lacks a promise), over the n servers of weight above 0:
///
/// - max/mean is max(x) · n / Σx;
/// - the coefficient of variation is √(Σ(x − mean)² / n) / mean, of the population;
/// - Jain's index is (Σx)² / (n · Σx²), after Jain, Chiu and Hawe, "A Quantitative Measure of
///   Fairness and Discrimination for Resource Allocation in Shared Computer Systems", DEC-TR-301,
///   1984.
///
/// Nothing on any of these servers gives no balance.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// All connections.
    pub connections: u64,
    /// The part of each server, in their order; none without connections.
    pub shares: Vec<Option<f64>>,
    /// How even they are.
    pub balance: Option<Balance>,
}

impl Distribution {
    /// From what each server got.
    pub fn from_counts(servers: &[ServerCount]) -> Self {
        let connections: u64 = servers.iter().map(|server| server.connections).sum();
        let share = |server: &ServerCount| {
            (connections > 0).then(|| server.connections as f64 / connections as f64)
        };
        Self {
            connections,
            shares: servers.iter().map(share).collect(),
            balance: balance(servers),
        }
    }
}

/// The part of the sum of weights that each weight promises, as wrr, wlc and the like do; 0 each
/// where all are quiesced.
pub fn promised_by_weight(weights: &[u32]) -> Vec<f64> {
    let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
    let share = |&weight: &u32| f64::from(weight) / total.max(1) as f64;
    weights.iter().map(share).collect()
}

fn balance(servers: &[ServerCount]) -> Option<Balance> {
    let counted = || servers.iter().filter(|server| server.weight > 0);
    let promised: Option<Vec<f64>> = counted()
        .map(|server| {
            let share = server.promised_share.filter(|&share| share > 0.0)?;
            Some(server.connections as f64 / share)
        })
        .collect();
    let (over, values) = match promised {
        Some(values) => (BalanceOver::Promise, values),
        None => (
            BalanceOver::Connections,
            counted().map(|server| server.connections as f64).collect(),
        ),
    };

    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    if sum <= 0.0 {
        return None;
    }
    let mean = sum / n;
    let squares: f64 = values.iter().map(|x| x * x).sum();
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
    Some(Balance {
        over,
        max_over_mean: values.iter().fold(0.0, |max: f64, &x| max.max(x)) / mean,
        coefficient_of_variation: variance.sqrt() / mean,
        jain: sum * sum / (n * squares),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(connections: u64) -> ServerCount {
        ServerCount {
            connections,
            weight: 1,
            promised_share: None,
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn by_hand() {
        // mean 4, deviations -2, 0, 2: variance 8/3; Jain 144 / (3 * 56).
        let balance = Distribution::from_counts(&[plain(2), plain(4), plain(6)])
            .balance
            .unwrap();
        assert_eq!(balance.over, BalanceOver::Connections);
        assert!(near(balance.max_over_mean, 1.5));
        assert!(near(
            balance.coefficient_of_variation,
            (8.0_f64 / 3.0).sqrt() / 4.0
        ));
        assert!(near(balance.jain, 144.0 / 168.0));
    }

    #[test]
    fn a_promise_kept_is_even() {
        let servers =
            [(30, 3, 0.75), (10, 1, 0.25), (0, 0, 0.0)].map(|(connections, weight, promised)| {
                ServerCount {
                    connections,
                    weight,
                    promised_share: Some(promised),
                }
            });
        let spread = Distribution::from_counts(&servers);
        assert_eq!(spread.shares, [Some(0.75), Some(0.25), Some(0.0)]);
        let balance = spread.balance.unwrap();
        assert_eq!(balance.over, BalanceOver::Promise);
        assert!(near(balance.max_over_mean, 1.0));
        assert!(near(balance.coefficient_of_variation, 0.0));
        assert!(near(balance.jain, 1.0));
    }

    #[test]
    fn nothing_has_no_balance() {
        assert_eq!(Distribution::from_counts(&[]).balance, None);
        let idle = Distribution::from_counts(&[plain(0), plain(0)]);
        assert_eq!(idle.shares, [None, None]);
        assert_eq!(idle.balance, None);
    }

    #[test]
    fn promises_follow_weights() {
        assert_eq!(promised_by_weight(&[3, 1, 0]), [0.75, 0.25, 0.0]);
        assert_eq!(promised_by_weight(&[0, 0]), [0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn bounds_hold(counts in prop::collection::vec(0_u64..1_000_000, 1..40)) {
            let servers: Vec<ServerCount> = counts.iter().map(|&count| plain(count)).collect();
            let spread = Distribution::from_counts(&servers);
            let total: u64 = counts.iter().sum();
            prop_assert_eq!(spread.connections, total);
            prop_assert_eq!(spread.balance.is_some(), total > 0);
            if let Some(balance) = spread.balance {
                let n = counts.len() as f64;
                let shares: f64 = spread.shares.iter().flatten().sum();
                prop_assert!(near(shares, 1.0));
                prop_assert!((1.0 - 1e-9..=n + 1e-9).contains(&balance.max_over_mean));
                prop_assert!((1.0 / n - 1e-9..=1.0 + 1e-9).contains(&balance.jain));
                // Jain's index and the coefficient of variation say the same: J = 1 / (1 + cv²).
                let cv = balance.coefficient_of_variation;
                prop_assert!((balance.jain - 1.0 / (1.0 + cv * cv)).abs() < 1e-9);
            }
        }
    }
}
