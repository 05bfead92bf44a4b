"""The local expansion of templates."""

import unittest

from expand import explicit_routes


class ExpandTest(unittest.TestCase):
    def test_paths_become_routes_with_one_integration_for_each_function(self):
        integration = {"uri": {"Fn::Sub": "…/${OrdersFunction.Arn}/invocations"}, "payloadFormatVersion": "2.0"}
        operation = {"x-amazon-apigateway-integration": integration}
        api = {
            "Properties": {
                "Body": {
                    "paths": {
                        "/v1/orders": {"get": operation, "post": operation},
                        "$default": {"x-amazon-apigateway-any-method": operation},
                    }
                }
            }
        }
        made = explicit_routes("HttpApi", api).values()
        routes = [made["Properties"]["RouteKey"] for made in made if made["Type"] == "AWS::ApiGatewayV2::Route"]
        self.assertEqual(["GET /v1/orders", "POST /v1/orders", "$default"], routes)
        self.assertEqual(1, sum(made["Type"] == "AWS::ApiGatewayV2::Integration" for made in made))
        self.assertNotIn("Body", api["Properties"])


if __name__ == "__main__":
    unittest.main()
