"""Rules that every function, source, queue and table of the templates must keep."""

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "local"))

import expand  # noqa: E402

SOURCES = {"DynamoDB", "Kinesis", "SQS"}
STREAMS = {"DynamoDB", "Kinesis"}
HTTP_API_SECONDS_MAX = 30
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, resource-based policy.
POLICY_BYTES_MAX = 20 * 1024
# Of one that names a stack, a function and a path of usual length.
STATEMENT_BYTES = 500


def resources(template: dict, type: str) -> dict[str, dict]:
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == type}


class Templates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = expand.load(ROOT / "template.yaml")
        cls.nested = {path.stem: expand.load(path) for path in sorted((ROOT / "infra").glob("*.yaml"))}
        cls.functions = {
            name: function["Properties"] for name, function in resources(cls.root, "AWS::Serverless::Function").items()
        }
        cls.sources = [
            (f"{function}.{name}", properties, event["Type"], event["Properties"])
            for function, properties in cls.functions.items()
            for name, event in properties["Events"].items()
            if event["Type"] in SOURCES
        ]


    def test_the_transform_accepts_the_root(self):
        template = expand.load(ROOT / "template.yaml")
        for function in resources(template, "AWS::Serverless::Function").values():
            function["Properties"]["CodeUri"] = {"Bucket": "code", "Key": "function.zip"}
        expanded = expand.expand(template, {"HqUrl": "https://hq.example", "HqSigningSecret": "secret"})
        # One route for each event: two events with one path would silently share it.
        self.assertEqual(len(expand.routes(self.root)), len(resources(expanded, "AWS::ApiGatewayV2::Route")))

    def test_every_function_of_the_workspace_is_deployed(self):
        crates = {path.parent.name for path in (ROOT / "functions").glob("*/Cargo.toml")}
        deployed = {path.name for path in expand.code_directories(self.root).values()}
        self.assertEqual(crates, deployed)

    def test_functions_nobody_waits_for_have_an_alarm_on_their_errors(self):
        watched = {
            alarm["Properties"]["Dimensions"][0]["Value"]["Fn::Sub"].removeprefix("${ApplicationName}-")
            for alarm in resources(self.nested["observability"], "AWS::CloudWatch::Alarm").values()
            if alarm["Properties"]["MetricName"] == "Errors"
        }
        unattended = {
            Path(function["CodeUri"]).name
            for function in self.functions.values()
            if not any(event["Type"] == "HttpApi" for event in function["Events"].values())
        }
        self.assertEqual(unattended, watched)

    def test_there_are_sources_to_check(self):
        self.assertEqual(SOURCES, {type for _, _, type, _ in self.sources})

    def test_batches_fail_in_part(self):
        for label, _, _, source in self.sources:
            with self.subTest(label):
                self.assertEqual(["ReportBatchItemFailures"], source.get("FunctionResponseTypes"))

    def test_streams_give_up_somewhere_and_never_block(self):
        hours = {"DynamoDB": 24, "Kinesis": self.nested["messaging"]["Resources"]["SalesStream"]["Properties"]["RetentionPeriodHours"]}
        for label, _, type, source in self.sources:
            if type not in STREAMS:
                continue
            with self.subTest(label):
                self.assertIs(True, source.get("BisectBatchOnFunctionError"))
                self.assertGreater(source["MaximumRetryAttempts"], 0)
                self.assertIn("ParallelizationFactor", source)
                self.assertEqual("SQS", source["DestinationConfig"]["OnFailure"]["Type"])
                # While the stream still holds what the destination's message points to.
                self.assertLessEqual(source["MaximumRecordAgeInSeconds"], hours[type] * 3600 // 2)

    def test_queues_have_a_backstop_and_time(self):
        queues = resources(self.nested["messaging"], "AWS::SQS::Queue")
        for label, function, type, source in self.sources:
            if type != "SQS":
                continue
            with self.subTest(label):
                name = source["Queue"]["Fn::GetAtt"][1].removeprefix("Outputs.").removesuffix("Arn")
                queue = queues[name]["Properties"]
                self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * function["Timeout"])
                self.assertIn("RedrivePolicy", queue)
                self.assertIn("MaximumConcurrency", source["ScalingConfig"])

    def test_schedules_report_their_failures(self):
        for name, function in self.functions.items():
            for event in function["Events"].values():
                if event["Type"] == "Schedule":
                    with self.subTest(name):
                        self.assertIn("OnFailure", function["EventInvokeConfig"]["DestinationConfig"])
                        self.assertIn("DeadLetterConfig", event["Properties"])

    def test_requests_end_before_the_gateway_gives_up(self):
        for name, function in self.functions.items():
            if any(event["Type"] == "HttpApi" for event in function["Events"].values()):
                with self.subTest(name):
                    self.assertLess(function["Timeout"], HTTP_API_SECONDS_MAX)

    def test_a_functions_policy_has_room_for_its_routes(self):
        # SAM lets the gateway call a function by one statement for each route; together they have 20 KB.
        for name, function in self.functions.items():
            routes = [event for event in function["Events"].values() if event["Type"] == "HttpApi"]
            with self.subTest(name):
                self.assertLessEqual(len(routes) * STATEMENT_BYTES, POLICY_BYTES_MAX)

    def test_unknown_routes_have_an_answer(self):
        self.assertIn(("ANY", "$default", "IdentityFunction"), expand.routes(self.root))

    def test_permissions_name_actions_and_resources(self):
        # ListStreams knows no resources.
        everywhere = {"dynamodb:ListStreams"}
        for name, statement in self.statements():
            with self.subTest(name, action=statement["Action"]):
                actions, granted = as_list(statement["Action"]), as_list(statement["Resource"])
                self.assertFalse([action for action in actions if "*" in action])
                self.assertFalse([action for action in actions if action in ("dynamodb:Scan", "kms:Decrypt")])
                if "*" in granted:
                    self.assertLessEqual(set(actions), everywhere)

    def test_a_function_may_use_what_it_is_told_of_and_nothing_else(self):
        for name, function in self.functions.items():
            told = tables_in(function["Environment"]["Variables"])
            granted = tables_in([statement["Resource"] for statement in self.statements_of(name, function)])
            with self.subTest(name):
                self.assertEqual(told, granted)

    def test_tables_are_backed_up_and_encrypted(self):
        tables = resources(self.nested["data"], "AWS::DynamoDB::Table")
        self.assertEqual(7, len(tables))
        for name, table in tables.items():
            with self.subTest(name):
                properties = table["Properties"]
                self.assertTrue(properties["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"])
                self.assertTrue(properties["SSESpecification"]["SSEEnabled"])
                self.assertIn("DeletionProtectionEnabled", properties)
                self.assertEqual("PAY_PER_REQUEST", properties["BillingMode"])

    def test_nested_outputs_exist(self):
        for stack, output in nested_outputs(self.root):
            template = self.nested[stack.lower()]
            with self.subTest(f"{stack}.{output}"):
                self.assertIn(output, template["Outputs"])

    def statements(self):
        for name, function in self.functions.items():
            for statement in self.statements_of(name, function):
                yield name, statement

    def statements_of(self, name: str, function: dict) -> list[dict]:
        if "Role" in function:
            role = self.root["Resources"][function["Role"]["Fn::GetAtt"][0]]
            return [statement for policy in role["Properties"]["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
        return [statement for policy in function["Policies"] for statement in policy["Statement"]]


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def nested_outputs(value):
    """(stack, output) of every GetAtt on a nested stack's output."""
    if isinstance(value, dict):
        target = value.get("Fn::GetAtt")
        if isinstance(target, list) and str(target[1]).startswith("Outputs."):
            yield target[0], target[1].removeprefix("Outputs.")
        for content in value.values():
            yield from nested_outputs(content)
    elif isinstance(value, list):
        for content in value:
            yield from nested_outputs(content)


def tables_in(value) -> set[str]:
    """Names of the tables that a value refers to by any of their outputs, streams aside."""
    return {
        output.removesuffix("TableArn").removesuffix("Table").removesuffix("Indexes")
        for stack, output in nested_outputs(value)
        if stack == "Data" and not output.endswith("StreamArn")
    }


if __name__ == "__main__":
    unittest.main()
