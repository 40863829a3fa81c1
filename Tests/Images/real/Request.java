// A server and its client in one Java process: threads, sockets, the just-in-time compiler, zip and message digests.
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

public class Request {
    public static void main(String[] arguments) throws Exception {
        try (ServerSocket server = new ServerSocket()) {
            server.bind(new InetSocketAddress("127.0.0.1", 0));
            Thread thread = new Thread(() -> serve(server));
            thread.start();
            try (Socket client = new Socket("127.0.0.1", server.getLocalPort())) {
                client.getOutputStream().write("hello".getBytes(StandardCharsets.UTF_8));
                client.shutdownOutput();
                byte[] answer = new GZIPInputStream(new ByteArrayInputStream(client.getInputStream().readAllBytes())).readAllBytes();
                System.out.println(new String(answer, StandardCharsets.UTF_8));
            }
            thread.join();
        }
        System.out.println("java " + Runtime.version().feature() + ", " + System.getProperty("user.dir"));
    }

    private static void serve(ServerSocket server) {
        try (Socket connection = server.accept()) {
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(connection.getInputStream().readAllBytes());
            ByteArrayOutputStream packed = new ByteArrayOutputStream();
            try (GZIPOutputStream stream = new GZIPOutputStream(packed)) {
                stream.write(HexFormat.of().formatHex(digest).getBytes(StandardCharsets.UTF_8));
            }
            connection.getOutputStream().write(packed.toByteArray());
        } catch (Exception failure) {
            throw new IllegalStateException(failure);
        }
    }
}
