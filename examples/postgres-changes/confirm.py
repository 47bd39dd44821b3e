"""A Lambda function as it is for Amazon: it is given each order that was paid, as
an EventBridge event whose detail is the change of the row."""


def handler(event, context):
    order = event["detail"]["new"]
    print(f"order {order['id']} of {order['customer']} is paid: {order['total']:.2f}")
    return {"confirmed": order["id"]}
