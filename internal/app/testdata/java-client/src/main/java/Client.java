import java.nio.file.Files;
import java.nio.file.Path;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.lambda.model.*;

/** Goes the way of a function with AWS's own client, and prints what it got. */
public class Client {
    public static void main(String[] args) throws Exception {
        try (LambdaClient lambda = LambdaClient.builder().httpClientBuilder(UrlConnectionHttpClient.builder()).build()) {
            CreateFunctionResponse made = lambda.createFunction(b -> b.functionName("sdk").runtime(args[1]).handler("app.handler").role(args[0])
                    .memorySize(256).environment(e -> e.variables(java.util.Map.of("KEY", "v")))
                    .code(c -> c.zipFile(SdkBytes.fromByteArray(read(args[2])))));
            System.out.println("created " + made.functionName() + " " + made.runtimeAsString() + " " + made.memorySize());
            System.out.println("active " + lambda.waiter().waitUntilFunctionActiveV2(b -> b.functionName("sdk")).matched().response().get().configuration().state());
            InvokeResponse got = lambda.invoke(b -> b.functionName("sdk").payload(SdkBytes.fromUtf8String("{\"a\":\"\u00e4\"}")).logType(LogType.TAIL));
            System.out.println("answer " + got.statusCode() + " " + got.payload().asUtf8String() + " " + got.executedVersion() + " " + (got.logResult().length() > 0));
            InvokeResponse failed = lambda.invoke(b -> b.functionName("sdk").payload(SdkBytes.fromUtf8String("{\"fail\":1}")));
            System.out.println("error " + failed.functionError() + " " + failed.payload().asUtf8String());
            StringBuilder names = new StringBuilder();
            lambda.listFunctionsPaginator(b -> b.maxItems(1)).functions().forEach(f -> names.append(f.functionName()).append(','));
            System.out.println("listed " + names);
            UpdateFunctionConfigurationResponse updated = lambda.updateFunctionConfiguration(b -> b.functionName("sdk").timeout(7));
            System.out.println("updated " + updated.timeout() + " " + updated.environment().variables());
            try {
                lambda.getFunction(b -> b.functionName("missing"));
            } catch (ResourceNotFoundException e) {
                System.out.println("missing " + e.statusCode() + " " + e.awsErrorDetails().errorMessage() + " " + (e.requestId().length() > 0));
            }
            try {
                lambda.invoke(b -> b.functionName("sdk").payload(SdkBytes.fromUtf8String("no JSON")));
            } catch (InvalidRequestContentException e) {
                System.out.println("refused " + e.statusCode());
            }
            try {
                lambda.createFunction(b -> b.functionName("sdk").runtime(args[1]).handler("x.y").role(args[0]).code(c -> c.zipFile(SdkBytes.fromByteArray(read(args[2])))));
            } catch (ResourceConflictException e) {
                System.out.println("conflict " + e.statusCode());
            }
            lambda.deleteFunction(b -> b.functionName("sdk"));
            System.out.println("deleted");
        }
    }

    private static byte[] read(String path) {
        try {
            return Files.readAllBytes(Path.of(path));
        } catch (java.io.IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }
}
