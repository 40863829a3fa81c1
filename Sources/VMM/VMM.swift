// Placeholder of module VMM.
