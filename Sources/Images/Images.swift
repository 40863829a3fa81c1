// Placeholder of module Images.
