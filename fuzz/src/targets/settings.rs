use steadfast::{Policy, Settings};

/// Settings that are accepted make a policy, or an error that says why they do not.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let toml = Settings::from_toml(text).ok();
    for settings in
        toml.into_iter().chain([Settings::from_codeigniter_env(text), Settings::from_php_ini(text)])
    {
        if let Err(error) = settings.apply(Policy::builder()).build() {
            assert!(!error.to_string().is_empty());
        }
    }
}
