//! What sells: a few SKUs very often, most of them hardly ever. The share of the r-th most popular one is proportional to 1/r^s.

use rand::{Rng, RngExt};

/// The exponent of the data set and of the load.
pub const EXPONENT: f64 = 1.1;

/// Zipf's law over `count` ranks, drawn by looking up a uniform number among the cumulated weights.
#[derive(Clone, Debug)]
pub struct Zipf {
    cumulated: Vec<f64>,
}

impl Zipf {
    #[must_use]
    pub fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| f64::from(u32::try_from(rank).unwrap_or(u32::MAX)).powf(-exponent);
        Self {
            cumulated: (1..=count)
                .map(|rank| {
                    sum += weight(rank);
                    sum
                })
                .collect(),
        }
    }

    /// The share of this rank (0 is the most popular); 0 when there is no such rank.
    #[must_use]
    pub fn share(&self, rank: usize) -> f64 {
        let Some((&total, &upper)) = self.cumulated.last().zip(self.cumulated.get(rank)) else { return 0.0 };
        let lower = rank.checked_sub(1).map_or(0.0, |before| self.cumulated[before]);
        (upper - lower) / total
    }

    /// A rank, 0 the most popular; 0 also when there is none at all.
    pub fn draw(&self, chance: &mut impl Rng) -> usize {
        let point = chance.random::<f64>() * self.cumulated.last().copied().unwrap_or(0.0);
        self.cumulated.partition_point(|&upper| upper <= point).min(self.cumulated.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use platform::Chance;

    use super::*;

    #[test]
    fn draws_follow_the_shares() {
        let zipf = Zipf::new(600, EXPONENT);
        let mut stream = Chance::seeded(1).stream("seed", "zipf", "test");
        let mut counts = vec![0_u32; 600];
        for _ in 0..100_000 {
            counts[zipf.draw(&mut stream)] += 1;
        }
        for rank in [0, 1, 9, 99] {
            let (seen, due) = (f64::from(counts[rank]), zipf.share(rank) * 100_000.0);
            assert!((seen - due).abs() < 5.0 * due.sqrt(), "rank {rank}: {seen} instead of {due}");
        }
        assert!((zipf.share(0) / zipf.share(9) - 10_f64.powf(1.1)).abs() < 1e-9);
        assert!(((0..600).map(|rank| zipf.share(rank)).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(Zipf::new(0, 1.1).draw(&mut stream), 0);
    }
}
