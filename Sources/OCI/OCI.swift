// Placeholder of module OCI.
