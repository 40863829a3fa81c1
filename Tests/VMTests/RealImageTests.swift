// Servers and runtimes as registries have them, in layers above a base that they share (Tests/Images/real.bash): each is started as its image says,
// asked something by a client in the same container, and stopped as an engine would stop it.
import Foundation
import Glibc
import Testing

extension VirtualMachines {
    @Suite struct RealImages {
        let swiftlet: Swiftlet
        /// Starting them on an emulated machine takes up to half a minute when nothing else runs.
        private static let limit: TimeInterval = 400

        init() throws { swiftlet = try Swiftlet() }

        /// Runs `client` beside `server`, which becomes the container's first process; `client` is tried again until it succeeds. Then asks the
        /// server to stop by the signal that `swiftlet` translates to the image's own.
        private func serve(_ image: String, server: String, client: String, _ location: SourceLocation = #_sourceLocation) throws -> Outcome {
            let script = "(until \(client); do sleep 0.5; done; echo asked) 2>/dev/null & exec \(server)"
            let image = "oci:" + Project.real(image)
            let process = try swiftlet.start(["run", "--entrypoint", "/bin/sh", image, "-c", script], .noInput)
            #expect(process.sees("asked\n", within: Self.limit), "\(process.outputSoFar)", sourceLocation: location)
            process.signal(SIGTERM)
            let outcome = process.finish()
            #expect(outcome.ending == .exited(0), "\(outcome)", sourceLocation: location)
            return outcome
        }

        @Test func nginx() throws {
            let outcome = try serve(
                "nginx", server: "nginx -g 'daemon off;'",
                client: "curl -sfi http://127.0.0.1/ && mkdir -p /var/www/html/empty && curl -s http://127.0.0.1/empty/")
            #expect(outcome.text.contains("HTTP/1.1 200 OK\r\n") && outcome.text.contains("\r\n\r\nserved from an image\n"), "\(outcome)")
            // Its logs are links to /dev/stdout and /dev/stderr.
            #expect(outcome.text.contains(#""GET / HTTP/1.1" 200 21 "#), "\(outcome)")
            #expect(outcome.errorText.contains(#"directory index of "/var/www/html/empty/" is forbidden"#), "\(outcome)")
        }

        @Test func redis() throws {
            let outcome = try serve(
                "redis", server: "docker-entrypoint.sh redis-server",
                client: "redis-cli set answer 41 && redis-cli incr answer && redis-cli get answer && stat -c 'owner %U' /proc/1 && redis-cli save")
            #expect(outcome.text.contains("OK\n42\n42\nowner redis\n"), "\(outcome)")
            #expect(outcome.text.contains("Redis is now ready to exit"), "\(outcome)")
        }

        @Test func postgres() throws {
            let query = "select sum(i), current_setting('server_version_num')::int / 10000 from generate_series(1, 1000) i"
            let outcome = try serve(
                "postgres", server: "docker-entrypoint.sh postgres",
                // Its socket tells that the cluster is made; a client that asked twice a second until then would take half of the processor.
                client: "test -S /run/postgresql/.s.PGSQL.5432 && psql -h 127.0.0.1 -U postgres -Atc \"\(query)\" && stat -c 'owner %U' /proc/1")
            #expect(outcome.text.contains("\n500500|15\nowner postgres\n"), "\(outcome)")
            #expect(outcome.errorText.contains("database system is shut down\n"), "\(outcome)")
        }

        @Test func python() throws {
            let script = """
                import hashlib, http.server, multiprocessing, sqlite3, threading, urllib.request
                handler = http.server.SimpleHTTPRequestHandler
                server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
                threading.Thread(target=server.serve_forever).start()
                fetched = urllib.request.urlopen('http://127.0.0.1:%d/usr/lib/os-release' % server.server_port).read()
                server.shutdown()
                print(hashlib.sha256(fetched).digest() == hashlib.sha256(open('/etc/os-release', 'rb').read()).digest(), len(fetched) > 100)
                print(sqlite3.connect(':memory:').execute('select 6 * 7').fetchone())
                with multiprocessing.Pool(2) as pool: print(pool.map(abs, [-1, -2, -3]))
                """
            let outcome = try swiftlet(["run", "oci:" + Project.real("python"), "python", "-c", script], within: Self.limit)
            #expect(outcome.ending == .exited(0) && outcome.text == "True True\n(42,)\n[1, 2, 3]\n", "\(outcome)")
        }

        /// The image's own command, as its own user.
        @Test func java() throws {
            let outcome = try swiftlet(["run", "oci:" + Project.real("java")], within: Self.limit)
            expectOutput(outcome, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\njava 17, /app\n")
        }
    }
}
