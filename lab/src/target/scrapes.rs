//! Metrics over time: the scrapes of one system, as one OpenMetrics text in which each sample has its moment. That is what Prometheus can be
//! filled with afterwards (`promtool tsdb create-blocks-from openmetrics`), so that an incident can be looked at in any dashboard.

use std::fmt::Write as _;

use types::Timestamp;

/// One family of metrics: what is said of it, and every sample there was.
#[derive(Debug, Default)]
struct Family {
    head: String,
    samples: String,
}

/// In the order in which the families were first seen; the samples of one must stand together.
#[derive(Debug, Default)]
pub(super) struct Scrapes(Vec<(String, Family)>);

impl Scrapes {
    /// Takes one scrape: lines that describe (`# HELP`, `# TYPE`, `# UNIT`), and samples.
    pub fn take(&mut self, at: Timestamp, text: &str) {
        let (known_before, mut current) = (self.0.len(), None);
        for line in text.lines().filter(|line| !line.is_empty() && *line != "# EOF") {
            if let Some(described) = line.strip_prefix("# ") {
                let name = described.split(' ').nth(1).unwrap_or_default();
                let place = self.0.iter().position(|(family, _)| family == name).unwrap_or_else(|| {
                    self.0.push((name.to_owned(), Family::default()));
                    self.0.len() - 1
                });
                if place >= known_before
                    && let Some((_, family)) = self.0.get_mut(place)
                {
                    family.head.push_str(line);
                    family.head.push('\n');
                }
                current = Some(place);
            } else if let Some((_, family)) = current.and_then(|place| self.0.get_mut(place)) {
                // Writing to a text cannot fail.
                let _ = writeln!(family.samples, "{line} {}.{:03}", at.millis() / 1_000, at.millis() % 1_000);
            }
        }
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        for (_, family) in &self.0 {
            text.push_str(&family.head);
            text.push_str(&family.samples);
        }
        text.push_str("# EOF\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_a_family_stand_together_each_with_its_moment() {
        let mut scrapes = Scrapes::default();
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        scrapes.take(at(1_500), "# HELP a How many.\n# TYPE a counter\na_total{x=\"1\"} 1\n# TYPE b gauge\nb 7\n# EOF\n");
        scrapes
            .take(at(16_500), "# HELP a How many.\n# TYPE a counter\na_total{x=\"1\"} 2\na_total{x=\"2\"} 1\n# TYPE b gauge\nb 8\n# EOF\n");
        let expected = "# HELP a How many.\n# TYPE a counter\na_total{x=\"1\"} 1 1.500\na_total{x=\"1\"} 2 16.500\na_total{x=\"2\"} 1 16.500\n\
                        # TYPE b gauge\nb 7 1.500\nb 8 16.500\n# EOF\n";
        assert_eq!(scrapes.text(), expected);
    }
}
