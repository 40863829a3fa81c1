// Placeholder of module Archive.
