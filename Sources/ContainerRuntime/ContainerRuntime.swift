// Placeholder of module ContainerRuntime.
