// Placeholder of module Supervisor.
