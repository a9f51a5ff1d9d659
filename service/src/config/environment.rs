//! What the environment says goes before the file: the few keys that differ between processes which share a
//! file, under the names that deployments of worlds use.

use std::path::Path;

use super::sections::{BOUNDS, is_box};
use super::{ConfigError, Horizon};

/// The variables that are read, in this order.
pub const VARIABLES: [&str; 3] = ["REGION_BOUNDS", "MAX_PLAYERS", "PLUGIN_DIRECTORY"];

impl Horizon {
    /// This configuration with what `variable` knows of [`VARIABLES`]. An empty value means that it is not set.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Environment`] for the first value that cannot be.
    pub fn overridden(mut self, variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let set = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let refused = |name, value: &str, allowed: &str| ConfigError::Environment {
            name,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        };
        let [bounds, players, plugins] = VARIABLES;
        if let Some(value) = set(bounds) {
            let numbers: Result<Vec<f64>, _> = value.split(',').map(|number| number.trim().parse()).collect();
            let numbers = numbers.ok().and_then(|numbers| <[f64; 4]>::try_from(numbers).ok());
            let allowed = format!("it takes {BOUNDS}, with commas between");
            self.region.bounds =
                Some(numbers.filter(is_box).ok_or_else(|| refused(bounds, &value, &allowed))?);
        }
        if let Some(value) = set(players) {
            let count = value.parse().ok().filter(|count| (1..=100_000).contains(count));
            let allowed = "it takes a whole number from 1 to 100000";
            self.region.max_players = count.ok_or_else(|| refused(players, &value, allowed))?;
        }
        if let Some(value) = set(plugins) {
            self.paths.plugins = std::path::absolute(Path::new(&value))
                .map_err(|error| refused(plugins, &value, &error.to_string()))?;
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Horizon, String> {
        let found = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        Horizon::default_for_tests().overridden(found).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_set_goes_before_the_file() {
        let all = [("REGION_BOUNDS", "-200, -200,0,0.5"), ("MAX_PLAYERS", "64"), ("PLUGIN_DIRECTORY", "/p")];
        let horizon = with(&all).expect("valid");
        assert_eq!(horizon.region.bounds, Some([-200.0, -200.0, 0.0, 0.5]));
        assert_eq!(horizon.region.max_players, 64);
        assert_eq!(horizon.paths.plugins, Path::new("/p"));
        assert_eq!(with(&[("MAX_PLAYERS", "")]), Ok(Horizon::default_for_tests()));
    }

    #[test]
    fn refusals() {
        let rows = [
            ("REGION_BOUNDS", "1,2,3", "x and y of the lower corner"),
            ("REGION_BOUNDS", "0,0,0,9", "x and y of the lower corner"),
            ("MAX_PLAYERS", "many", "from 1 to 100000"),
            ("MAX_PLAYERS", "0", "from 1 to 100000"),
        ];
        for (name, value, allowed) in rows {
            let error = with(&[(name, value)]).expect_err("refused");
            assert!([name, value, allowed].iter().all(|part| error.contains(part)), "{error}");
        }
    }
}
