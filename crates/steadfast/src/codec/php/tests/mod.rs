mod sessions;
mod values;
