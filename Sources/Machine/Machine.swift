// Placeholder of module Machine.
